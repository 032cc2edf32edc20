//! What every shape of a folder is: `cargo run --release --example classify -- demo/model my-parts`.

use polyad_shapes::{draw::view_set, job::Job, model::Model, source::walk};

fn main() -> polyad_shapes::Result<()> {
    let [model, folder] = [1, 2].map(|place| std::env::args_os().nth(place).unwrap_or_default());
    let model = Model::load(model.as_ref())?;
    for source in walk(folder.as_ref(), Job::silent())?.shapes {
        let views = view_set(&source.load()?, &model.header().render, None, Job::silent())?;
        let (class, p) = &model.predict(&[views])?[0][0];
        println!("{}: {class} ({p:.2})", source.path);
    }
    Ok(())
}
