//! Claim: a model file gives back the model that was written, byte for byte; whatever is wrong with it is told apart; a
//! model refuses pictures, settings and classes that are not its own.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use polyad_shapes::embedding::Embedder;
use polyad_shapes::model::{Definition, Header, Model, Precision};
use polyad_shapes::render::{Frame, RenderSettings, Style};
use polyad_shapes::view_set::{View, ViewSet};
use polyad_shapes::vsformer::{BackboneKind, VsFormerConfig};
use std::path::Path;

const SIZE: usize = 32;

fn settings() -> RenderSettings {
    RenderSettings {
        views: "ring6".into(),
        size: SIZE,
        style: Style::Lit,
        frame: Frame::Sphere,
        samples: 2,
        version: 1,
    }
}

fn config(classes: Option<usize>) -> VsFormerConfig {
    let published = VsFormerConfig::published(BackboneKind::Small, classes);
    VsFormerConfig { layers: 1, heads: 2, dim: 16, ..published }
}

fn definition(precision: Precision) -> Definition {
    let names = ["bolt", "nut", "ring"].map(String::from).to_vec();
    let network = config(Some(3)).init(&Device::flex()).expect("small sizes");
    let mut header = Header::new(config(Some(3)), settings(), Some(names));
    header.precision = precision;
    // Losses as training leaves them: fractions of all digits, which must come back to the last bit.
    let losses: Vec<f64> = (1..200).map(|k| f64::from(k).sqrt() / 3.0).collect();
    header.training = serde_json::json!({ "seed": 7, "recipe": "none", "losses": losses });
    Definition::new(network, header).expect("a header that fits")
}

fn model(precision: Precision) -> Model {
    definition(precision).into_model().expect("a network")
}

/// Views whose pixels a number decides.
fn shape(views: usize, seed: usize) -> ViewSet {
    let view = |index: usize| View {
        width: SIZE,
        height: SIZE,
        channels: if index.is_multiple_of(2) { 1 } else { 3 },
        pixels: (0..SIZE * SIZE * if index.is_multiple_of(2) { 1 } else { 3 })
            .map(|pixel| ((pixel * (seed + 3 * index + 1)) % 251) as u8)
            .collect(),
    };
    ViewSet { views: (0..views).map(view).collect() }
}

fn refused(bytes: &[u8]) -> String {
    Definition::from_bytes(bytes).expect_err("a file that is not right").to_string()
}

fn bytes_of(model: &Definition, folder: &Path) -> Vec<u8> {
    let path = folder.join("model");
    model.save(&path).expect("a temporary folder can be written");
    std::fs::read(path).expect("just written")
}

#[test]
fn a_model_read_back_is_the_model_written() {
    for precision in [Precision::F32, Precision::F16] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let written = definition(precision);
        let numbers = written.network().num_params();
        let bytes = bytes_of(&written, folder.path());
        let read = Definition::load(&folder.path().join("model")).expect("just written");
        assert!(bytes_of(&read, folder.path()) == bytes, "writing it again gives other bytes");
        let model = written.into_model().expect("a network");
        let again = Model::load(&folder.path().join("model")).expect("just written");
        assert_eq!(again.header(), model.header());
        assert_eq!(again.identity(), model.identity());
        let shapes = [shape(3, 1), shape(1, 2)];
        assert_eq!(again.embed(&shapes).expect("its own views"), model.embed(&shapes).expect("its own views"));
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 1, "only the model is left in the folder");

        // Names, shapes and header take some 20 kB; in half precision vectors, a fiftieth of all numbers, stay single.
        let each = if precision == Precision::F32 { 4 } else { 2 };
        let (found, least) = (bytes.len(), each * numbers);
        assert!(
            (least..least + least / 25 + 30_000).contains(&found),
            "{found} bytes, {least} at least, in {precision:?}"
        );
    }
}

#[test]
fn half_precision_hardly_changes_the_answers() {
    let network = config(Some(3)).init(&Device::flex()).expect("small sizes");
    let header = |precision| {
        let names = ["bolt", "nut", "ring"].map(String::from).to_vec();
        Header { precision, ..Header::new(config(Some(3)), settings(), Some(names)) }
    };
    let single = Model::new(network.clone(), header(Precision::F32)).expect("a header that fits");
    let half = Model::new(network, header(Precision::F16)).expect("a header that fits");
    assert_ne!(single.identity(), half.identity());
    let shapes = [shape(4, 3)];
    let (a, b) = (single.logits(&shapes).expect("classes"), half.logits(&shapes).expect("classes"));
    let largest = a[0].iter().fold(0f32, |most, x| most.max(x.abs()));
    for (a, b) in a[0].iter().zip(&b[0]) {
        assert!((a - b).abs() < 0.05 * largest, "{a} and {b}");
    }
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = bytes_of(&definition(Precision::F32), folder.path());
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    // Lengths, the text in steps that meet keys, digits and braces, and the weights.
    let places = (0..9).chain((9..header).step_by(97)).chain((header..bytes.len()).step_by(bytes.len() / 7));
    for place in places {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let message = refused(&changed);
        assert!(message.starts_with("model: "), "byte {place}: {message}");
    }
}

#[test]
fn truncated_foreign_and_newer_files_are_told_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = bytes_of(&definition(Precision::F32), folder.path());
    for length in [9, 1000, bytes.len() / 2, bytes.len() - 1] {
        let message = refused(&bytes[..length]);
        assert!(message.contains("truncated"), "{length} bytes: {message}");
    }
    for foreign in [&b""[..], b"solid cube", &[0; 100]] {
        assert!(refused(foreign).contains("not a polyad model"), "{foreign:?}");
    }
    let other = safetensors::serialize(Vec::<(&str, safetensors::tensor::TensorView<'_>)>::new(), None);
    assert!(refused(&other.expect("an empty file")).contains("polyad import"));

    let format = b"\\\"format\\\":1";
    let place = bytes.windows(format.len()).position(|window| window == format).expect("the header has a format");
    let mut newer = bytes;
    newer[place + format.len() - 1] = b'9';
    let message = refused(&newer);
    assert!(message.contains("format 9") && message.contains("up to format 2"), "{message}");

    let absent = Model::load(&folder.path().join("absent")).expect_err("no such file").to_string();
    assert!(absent.contains("absent"), "{absent}");
}

#[test]
fn a_header_that_does_not_fit_its_network_is_refused() {
    let three = || config(Some(3)).init(&Device::flex()).expect("small sizes");
    let names = |n: usize| Some((0..n).map(|class| class.to_string()).collect::<Vec<_>>());
    let refuse = |header: Header| Model::new(three(), header).expect_err("a header that does not fit").to_string();
    let message = refuse(Header::new(config(Some(3)), settings(), names(2)));
    assert!(message.contains("3 classes") && message.contains("2 classes"), "{message}");
    let message = refuse(Header::new(config(Some(4)), settings(), names(4)));
    assert!(message.contains("not of its architecture"), "{message}");
    let message = refuse(Header::new(config(Some(3)), RenderSettings { size: 0, ..settings() }, names(3)));
    assert!(message.contains("pixels, not 0"), "{message}");
    let alexnet = VsFormerConfig { backbone: BackboneKind::AlexNet, widths: None, ..config(Some(3)) };
    let message = refuse(Header::new(alexnet, settings(), names(3)));
    assert!(message.contains("32 pixels") && message.contains("alexnet"), "{message}");
}

#[test]
fn other_pictures_settings_and_classes_are_refused_with_both_values() {
    let model = model(Precision::F32);
    let mut other = shape(2, 1);
    other.views[1] = View { width: 2, height: 2, channels: 1, pixels: vec![0; 4] };
    let message = model.embed(&[other]).expect_err("another size").to_string();
    assert!(message.contains("32 x 32") && message.contains("2 x 2"), "{message}");
    model.embed(&[ViewSet { views: vec![] }]).expect_err("no views");

    model.check_settings(&settings()).expect("its own settings");
    let others = [
        (RenderSettings { views: "dodeca20".into(), ..settings() }, "ring6", "dodeca20"),
        (RenderSettings { size: 96, ..settings() }, "32", "96"),
        (RenderSettings { style: Style::Depth, ..settings() }, "lit", "depth"),
        (RenderSettings { frame: Frame::Crop, ..settings() }, "sphere", "crop"),
        (RenderSettings { version: 9, ..settings() }, "renderer version 1", "9"),
    ];
    for (other, own, found) in others {
        let message = model.check_settings(&other).expect_err("other settings").to_string();
        assert!(message.contains(own) && message.contains(found), "{message}");
    }

    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    model.check_classes(&names(&["bolt", "nut", "ring"])).expect("its own classes");
    let message = model.check_classes(&names(&["bolt", "washer", "ring"])).expect_err("another class").to_string();
    assert!(message.contains("nut") && message.contains("washer"), "{message}");
    model.check_classes(&names(&["bolt"])).expect_err("fewer classes");
}

#[test]
fn shapes_are_answered_in_order_whatever_stands_beside_them() {
    let model = model(Precision::F32);
    let shapes: Vec<ViewSet> = [3, 1, 5, 2].into_iter().map(|views| shape(views, views)).collect();
    let together = model.embed(&shapes).expect("its own views");
    let predictions = model.predict(&shapes).expect("classes");
    for ((shape, together), prediction) in shapes.iter().zip(&together).zip(&predictions) {
        let alone = &model.embed(std::slice::from_ref(shape)).expect("its own views")[0];
        assert_eq!(together.views.len(), shape.views.len());
        assert_eq!((together.set.len(), together.views[0].len()), (model.set_width(), model.view_width()));
        let pairs = together
            .set
            .iter()
            .zip(&alone.set)
            .chain(together.views.iter().flatten().zip(alone.views.iter().flatten()));
        for (a, b) in pairs {
            assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} and {b}");
        }
        assert!((prediction.iter().map(|(_, p)| p).sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(prediction.windows(2).all(|pair| pair[0].1 >= pair[1].1), "the most probable first");
    }
}

#[test]
fn a_numpy_file_of_normalised_pictures_goes_straight_to_the_network() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let definition = definition(Precision::F32);
    let count = 2 * 3 * 3 * SIZE * SIZE;
    let numbers: Vec<f32> = (0..count).map(|index| ((index * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let images = Tensor::from_data(TensorData::new(numbers.clone(), [6, 3, SIZE, SIZE]), &Device::flex());
    let expected = definition.network().forward(images, &[3, 3]).expect("classes");
    let expected: Vec<f32> = expected.into_data().try_into_vec().expect("float tensor");
    let model = definition.into_model().expect("a network");

    let logits = |shape: &str, numbers: &[f32]| {
        let path = folder.path().join("x.npy");
        std::fs::write(&path, npy(shape, numbers)).expect("a temporary folder can be written");
        model.logits_npy(&path)
    };
    let found = logits("(2, 3, 3, 32, 32)", &numbers).expect("two shapes");
    for (a, b) in found.concat().iter().zip(&expected) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
    let one = logits("(3, 3, 32, 32)", &numbers[..count / 2]).expect("one shape");
    assert_eq!(one.len(), 1);
    assert!((one[0][0] - expected[0]).abs() < 1e-4);

    for (wrong, part) in [
        ("(2, 3, 1, 32, 32)", "[2, 3, 1, 32, 32]"),
        ("(2, 3, 3, 31, 32)", "31"),
        ("(9, 3, 3, 32, 32)", "[9, 3, 3, 32, 32]"),
        ("(4611686018427387904, 3, 3, 32, 32)", "4611686018427387904"),
        ("(0, 3, 3, 32, 32)", "[0, 3"),
    ] {
        let message = logits(wrong, &numbers).expect_err(wrong).to_string();
        assert!(message.contains(part) && message.contains("x.npy"), "{wrong}: {message}");
    }
    std::fs::write(folder.path().join("x.npy"), b"\x93NUMPY\x02\x00\xff\xff\xff\xff").expect("writable");
    model.logits_npy(&folder.path().join("x.npy")).expect_err("a header longer than the file");
}

fn npy(shape: &str, numbers: &[f32]) -> Vec<u8> {
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    text.push_str(&" ".repeat((64 - (text.len() + 11) % 64) % 64));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

#[test]
fn a_model_can_be_shared_among_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Model>();
}
