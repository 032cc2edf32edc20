//! The queries, keys and values with which a trained network of order 3 compares the views of shapes, as `polyad attend`
//! and `polyad plan` read them: `cargo run --release --example operands -- MODEL FOLDER VIEWS OUT.npz`.

use burn::tensor::{Device, Tensor};
use polyad_shapes::model::Definition;
use polyad_shapes::vsformer::ViewAttention;
use polyad_shapes::{Error, Result, draw::view_set, job::Job, source::walk};
use std::io::Write;
use std::path::Path;

/// Shapes, the first of the folder.
const SHAPES: usize = 8;

fn main() -> Result<()> {
    let [model, folder, views, out] = [1, 2, 3, 4].map(|place| std::env::args().nth(place).unwrap_or_default());
    let definition = Definition::load(Path::new(&model))?;
    let network = definition.network();
    let Some(ViewAttention::Tuples(attention)) = network.encoder.blocks.first().map(|block| &block.attention) else {
        return Err(Error::Model(format!(
            "{model}: its views are compared in pairs; `train --order 3` compares triples"
        )));
    };
    let mut settings = definition.header().render.clone();
    settings.views = views;
    let device = Device::flex();
    let mut features = Vec::new();
    for source in walk(Path::new(&folder), Job::silent())?.shapes.iter().take(SHAPES) {
        let set = view_set(&source.load()?, &settings, None, Job::silent())?;
        let images = definition.header().input.tensor(&set.views.iter().collect::<Vec<_>>(), &device)?;
        features.push(network.forward_features(images).unsqueeze::<3>());
    }
    let tokens = network.encoder.blocks[0].norm.forward(Tensor::cat(features, 0));
    let (operands, problem) = attention.operands(tokens);
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&out).map_err(|why| Error::io(Path::new(&out), why))?);
    let mut add = |name: &str, shape: &[usize], numbers: &[f32]| -> std::io::Result<()> {
        archive.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default())?;
        let shape: String = shape.iter().map(|n| format!("{n},")).collect();
        let mut header = format!("{{'descr':'<f4','fortran_order':False,'shape':({shape})}}");
        header.extend(std::iter::repeat_n(' ', 63 - (10 + header.len()) % 64));
        header.push('\n');
        archive.write_all(b"\x93NUMPY\x01\x00")?;
        archive.write_all(&(header.len() as u16).to_le_bytes())?;
        archive.write_all(header.as_bytes())?;
        numbers.iter().try_for_each(|x| archive.write_all(&x.to_le_bytes()))
    };
    let mut tensor = |name: String, tensor: Tensor<4>| {
        let (shape, data) = (tensor.dims(), tensor.into_data());
        add(&name, &shape, data.as_slice().unwrap_or_default())
    };
    let mut all = || -> std::io::Result<()> {
        tensor("q".into(), operands.q.clone())?;
        for (axis, (keys, values)) in operands.keys.iter().zip(&operands.values).enumerate() {
            tensor(format!("k{}", axis + 1), keys.clone())?;
            tensor(format!("v{}", axis + 1), values.clone())?;
        }
        Ok(())
    };
    let written =
        all().and_then(|()| add("scale", &[], &[problem.scale])).and_then(|()| Ok(archive.finish().map(drop)?));
    written.map_err(|why| Error::io(Path::new(&out), why))
}
