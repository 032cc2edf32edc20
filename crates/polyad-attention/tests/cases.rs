//! The cases that the reference script writes, on every level. `.ci/run` has them written; `POLYAD_CASES` names another
//! folder. Where there is none the test is skipped, with a message.

use polyad_attention::{
    Bias, Gradients, Inputs, Problem, ScoreForm, Upstream, backward, backward_workspace, forward, forward_workspace,
};
use polyad_simd::Level;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

type Arrays = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

fn folder() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/reference/cases");
    let folder = std::env::var_os("POLYAD_CASES").map_or_else(default, PathBuf::from);
    if !folder.is_dir() {
        eprintln!("skipped: no {}", folder.display());
        return None;
    }
    Some(folder)
}

/// All numbers of an archive, and the form's name.
fn read(path: &Path) -> (Arrays, String) {
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let (mut arrays, mut form) = (Arrays::new(), "linear".to_owned());
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).unwrap();
        let name = member.name().unwrap().trim_end_matches(".npy").to_owned();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        let header = npyz::NpyHeader::from_reader(&bytes[..]).unwrap();
        if name == "form" {
            // UTF-32, at the file's end.
            let text: String = bytes[bytes.len() - header.dtype().num_bytes().unwrap()..]
                .chunks(4)
                .filter_map(|c| char::from_u32(u32::from_le_bytes(c.try_into().unwrap())))
                .filter(|c| *c != '\0')
                .collect();
            form = text;
            continue;
        }
        let shape = header.shape().iter().map(|n| *n as usize).collect();
        let numbers = if header.dtype().descr().contains("f8") {
            npyz::NpyFile::new(&bytes[..]).unwrap().into_vec::<f64>().unwrap()
        } else {
            let whole = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec::<i64>().unwrap();
            whole.into_iter().map(|x| x as f64).collect()
        };
        arrays.insert(name, (shape, numbers));
    }
    (arrays, form)
}

fn narrow(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|x| *x as f32).collect()
}

#[test]
fn the_reference_scripts_cases_come_out_on_every_level() {
    let Some(folder) = folder() else { return };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 24, "{} cases", paths.len());
    for path in paths {
        let (arrays, form) = read(&path);
        for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
            compare(&path.file_stem().unwrap().to_string_lossy(), &arrays, &form, level);
        }
    }
}

fn compare(name: &str, arrays: &Arrays, form: &str, level: Level) {
    let whole = |name: &str| -> [usize; 4] {
        match arrays[name].0[..] {
            [n, d] => [1, 1, n, d],
            [b, h, n, d] => [b, h, n, d],
            ref other => panic!("{name} is {other:?}"),
        }
    };
    let numbers = |name: String| narrow(&arrays[&name].1);
    let axes = (1..).take_while(|axis| arrays.contains_key(&format!("k{axis}"))).count();
    let [batch, heads, queries, width] = whole("q");
    let problem = Problem {
        batch,
        heads,
        key_heads: whole("k1")[1],
        queries,
        keys: (1..=axes).map(|axis| whole(&format!("k{axis}"))[2]).collect(),
        value_width: whole("v1")[3],
        form: ScoreForm::from_name(form).unwrap(),
        causal: arrays["causal"].1[0] != 0.0,
        windows: arrays["windows"].1.iter().map(|w| (*w < 1e9).then_some(*w as usize)).collect(),
        lengths: vec![arrays["lengths"].1.iter().map(|length| *length as usize).collect()],
        ..Problem::new(axes + 1, 1, width, arrays["scale"].1[0] as f32)
    };
    let (q, dout, dlse) = (numbers("q".into()), numbers("dout".into()), numbers("dlse".into()));
    let keys: Vec<Vec<f32>> = (1..=axes).map(|axis| numbers(format!("k{axis}"))).collect();
    let values: Vec<Vec<f32>> = (1..=axes).map(|axis| numbers(format!("v{axis}"))).collect();
    let names: Vec<&String> = arrays.keys().filter(|name| name.starts_with("bias_")).collect();
    let biases: Vec<Vec<f32>> = names.iter().map(|name| numbers(name.to_string())).collect();
    let digit = |name: &str, place: usize| (name.as_bytes()[5 + place] - b'0') as usize;
    let bias_views: Vec<Bias> = names
        .iter()
        .zip(&biases)
        .map(|(name, values)| Bias { axes: (digit(name, 0), digit(name, 1)), values })
        .collect();
    let (key_views, value_views): (Vec<&[f32]>, Vec<&[f32]>) =
        (keys.iter().map(Vec::as_slice).collect(), values.iter().map(Vec::as_slice).collect());
    let inputs = Inputs { biases: &bias_views, ..Inputs::new(&q, &key_views, &value_views) };

    let (mut out, mut lse) = (vec![f32::NAN; problem.out_numbers()], vec![f32::NAN; problem.rows()]);
    let mut workspace = vec![f32::NAN; forward_workspace(&problem).unwrap()];
    forward(&problem, &inputs, &mut out, &mut lse, &mut workspace, level).unwrap();
    let (mut dq, mut dk, mut dv, mut dbias) = (q.clone(), keys.clone(), values.clone(), biases.clone());
    let mut workspace = vec![f32::NAN; backward_workspace(&problem, &inputs).unwrap()];
    let mut gradients = Gradients {
        q: &mut dq,
        keys: dk.iter_mut().map(Vec::as_mut_slice).collect(),
        values: dv.iter_mut().map(Vec::as_mut_slice).collect(),
        biases: dbias.iter_mut().map(Vec::as_mut_slice).collect(),
        sink: None,
    };
    let upstream = Upstream { out: &out, lse: &lse, dout: &dout, dlse: Some(&dlse) };
    backward(&problem, &inputs, &upstream, &mut gradients, &mut workspace, level).unwrap();

    let mut found = vec![("out".to_owned(), out), ("lse".to_owned(), lse), ("dq".to_owned(), dq)];
    found.extend(dk.into_iter().enumerate().map(|(axis, x)| (format!("dk{}", axis + 1), x)));
    found.extend(dv.into_iter().enumerate().map(|(axis, x)| (format!("dv{}", axis + 1), x)));
    found.extend(dbias.into_iter().zip(&names).map(|(x, name)| (format!("d{name}"), x)));
    for (array, numbers) in found {
        let expected = &arrays[&array].1;
        let most = expected.iter().filter(|x| x.is_finite()).fold(1f64, |most, x| most.max(x.abs()));
        assert_eq!(numbers.len(), expected.len(), "{name} {array}");
        for (index, (a, b)) in numbers.iter().zip(expected).enumerate() {
            let close = f64::from(*a) == *b || (f64::from(*a) - b).abs() <= 1e-5 * most;
            assert!(close, "{name} on {level}: {array}[{index}] is {a}, expected {b}");
        }
    }
}
