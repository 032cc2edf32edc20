//! The cases that the reference script writes, on every level. `.ci/run` has them written; `POLYAD_CASES` names another
//! folder. Where there is none the test is skipped, with a message.

use crate::measure::Expected;
use crate::plain::{Precision, plain};
use crate::support::{Attended, Case, Gradient};
use polyad_attention::{Problem, ScoreForm, reference};
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
        compare(&path.file_stem().unwrap().to_string_lossy(), &arrays, &form);
    }
}

/// The plain version too starts from inputs rounded to single precision, so its error has that in it.
fn compare(name: &str, arrays: &Arrays, form: &str) {
    let (case, biases) = case_of(arrays, form);
    let wide = |name: String| arrays[&name].1.clone();
    let each = |letter: &str| (1..case.problem.order()).map(|axis| wide(format!("{letter}{axis}"))).collect();
    let expected = Expected {
        plain: plain(&case, Precision::of::<f32>()),
        out: wide("out".into()),
        lse: wide("lse".into()),
        gradients: reference::Gradients {
            q: wide("dq".into()),
            keys: each("dk"),
            values: each("dv"),
            biases: biases.into_iter().map(|bias| wide(format!("d{bias}"))).collect(),
            sink: Vec::new(),
        },
    };
    for level in Level::ALL.into_iter().filter(|level| level.is_present()) {
        let attended = Attended::of(&case, level);
        let gradient = Gradient::of(&case, &attended.out, &attended.lse, level);
        for array in expected.check(&case, &attended, &gradient, &format!("{name} on {level}")) {
            let relative = array.relative();
            assert!(
                relative <= 1e-5,
                "{name} on {level}: {} is off by {relative:.1e} of its row's greatest",
                array.name
            );
        }
    }
}

/// What a case is computed from, and the names of its biases.
fn case_of(arrays: &Arrays, form: &str) -> (Case, Vec<String>) {
    let whole = |name: &str| -> [usize; 4] {
        match arrays[name].0[..] {
            [n, d] => [1, 1, n, d],
            [b, h, n, d] => [b, h, n, d],
            ref other => panic!("{name} is {other:?}"),
        }
    };
    let numbers = |name: &str| narrow(&arrays[name].1);
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
    let names: Vec<String> = arrays.keys().filter(|name| name.starts_with("bias_")).cloned().collect();
    let digit = |name: &str, place: usize| (name.as_bytes()[5 + place] - b'0') as usize;
    let case = Case {
        problem,
        q: numbers("q"),
        keys: (1..=axes).map(|axis| numbers(&format!("k{axis}"))).collect(),
        values: (1..=axes).map(|axis| numbers(&format!("v{axis}"))).collect(),
        biases: names.iter().map(|name| ((digit(name, 0), digit(name, 1)), numbers(name))).collect(),
        hidden: Vec::new(),
        sink: None,
        dout: numbers("dout"),
        dlse: numbers("dlse"),
    };
    (case, names)
}
