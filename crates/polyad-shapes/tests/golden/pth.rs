//! A writer of PyTorch's checkpoint format, as `torch.save` writes a dictionary of tensors: a zip archive of a pickle and
//! one member for each storage. Only what tests need.

use std::io::Write;
use zip::write::SimpleFileOptions;

/// Tensors by name: shape and numbers.
pub type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

/// The bytes of a checkpoint `{wrapper: {name: tensor, ...}}`, or `{name: tensor, ...}` without a wrapper.
pub fn write(tensors: &Tensors, wrapper: Option<&str>) -> Vec<u8> {
    archive(&pickle(tensors, wrapper), tensors)
}

/// The pickle, which names tensors and their storages.
pub fn pickle(tensors: &Tensors, wrapper: Option<&str>) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    if let Some(wrapper) = wrapper {
        text(&mut pickle, "epoch");
        integer(&mut pickle, 30);
        text(&mut pickle, wrapper);
        pickle.extend(b"}(");
    }
    for (index, (name, shape, numbers)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nFloatStorage\n");
        text(&mut pickle, &index.to_string());
        text(&mut pickle, "cpu");
        integer(&mut pickle, numbers.len());
        pickle.extend(b"tQ");
        integer(&mut pickle, 0);
        tuple(&mut pickle, shape);
        let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        tuple(&mut pickle, &strides);
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(if wrapper.is_some() { &b"uu."[..] } else { b"u." });
    pickle
}

/// The archive around a pickle.
pub fn archive(pickle: &[u8], tensors: &Tensors) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut member = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), stored).expect("memory takes it");
        zip.write_all(bytes).expect("memory takes it");
    };
    member("data.pkl", pickle);
    member("version", b"3\n");
    for (index, (_, _, numbers)) in tensors.iter().enumerate() {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        member(&format!("data/{index}"), &bytes);
    }
    zip.finish().expect("memory takes it").into_inner()
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn integer(pickle: &mut Vec<u8>, value: usize) {
    pickle.push(b'J');
    pickle.extend(i32::try_from(value).expect("small tensors").to_le_bytes());
}

fn tuple(pickle: &mut Vec<u8>, values: &[usize]) {
    pickle.push(b'(');
    values.iter().for_each(|value| integer(pickle, *value));
    pickle.push(b't');
}
