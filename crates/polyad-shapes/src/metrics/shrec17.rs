//! The measures of SHREC'17 (large-scale retrieval from ShapeNet Core55), as its official evaluator computes them.
//!
//! 1. The truth is a table `id,synsetId,subSynsetId,modelId,split`. A list is a file named by its query; in each line the
//!    text before the first space is an id, and empty lines are skipped. Ids of lists (and only those) are padded on the
//!    left with `0` to six characters; of longer ones the last six count. The evaluator looks at nothing else; here a line
//!    that is no id, alone or with numbers after it, is refused, since its file is no list.
//! 2. Of a list the first 1,000 lines are kept, then repeats dropped, then ids that are unknown or of another split.
//! 3. The query stays in its own list, and among the shapes that ought to be found.
//! 4. Gain: 3 same subclass, 2 the result's subclass is the query's class, 1 same class, 0 other. A hit has gain > 0.
//!    `R = min(shapes of the class in the split, 1000)`.
//! 5. P@N, R@N and F1@N are taken at the end of the list, F1 per query; `AP = (sum of precision at hits) / R`.
//! 6. `DCG = gain_1 + sum_{r = 2..R} gain_r / log2 r`. The ideal takes the first R of the class in the order of the
//!    truth and sorts them afterwards, so that NDCG exceeds 1 for classes above 1,000.
//! 7. Micro is the mean over the lists, macro the mean over the classes that have lists. A missing list costs nothing;
//!    lists of unknown shapes and of other splits are skipped. After an empty list P, R, F1 and NDCG are NaN (AP is 0),
//!    and so are the means that contain it.
//!
//! Source: `Evaluator.js` and `Metrics.js` of the evaluator handed out by the organisers.

use crate::error::{At, Error, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Lines of a list that count, and the largest number of shapes that ought to be found.
const CUT: usize = 1_000;
/// Characters of an id.
const ID_LENGTH: usize = 6;
/// Characters of a wrong line that a message shows.
const LINE_SHOWN: usize = 40;
/// Largest table of truths that is read: SHREC'17's own has 4 MB.
const TRUTH_CAP: u64 = 1 << 30;
/// Largest list that is read: 1,000 lines need some 20 kB.
const LIST_CAP: u64 = 1 << 26;

/// The measures of a class, or their means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measures {
    /// Precision at the end of the list.
    #[serde(rename = "P@N")]
    pub precision: f64,
    /// Recall at the end of the list.
    #[serde(rename = "R@N")]
    pub recall: f64,
    /// Harmonic mean of the two, per query.
    #[serde(rename = "F1@N")]
    pub f1: f64,
    /// Mean average precision.
    #[serde(rename = "mAP")]
    pub map: f64,
    /// Normalised discounted cumulative gain.
    #[serde(rename = "NDCG")]
    pub ndcg: f64,
    /// What the mean is over: lists; in the macro mean classes and, as in the evaluator, one more: it adds to its sum the
    /// mean so far, which changes no mean.
    pub num: usize,
}

/// The verdict. As JSON one object: `microALL`, `macroALL`, then every class; NaN is null.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Mean over lists.
    pub micro: Measures,
    /// Mean over classes.
    pub macro_: Measures,
    /// Every class that has a list.
    pub classes: BTreeMap<String, Measures>,
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.classes.len() + 2))?;
        map.serialize_entry("microALL", &self.micro)?;
        map.serialize_entry("macroALL", &self.macro_)?;
        for (class, measures) in &self.classes {
            map.serialize_entry(class, measures)?;
        }
        map.end()
    }
}

/// Scores the lists of `split` in the folder `lists` against the table `truth`.
///
/// `lists` is a folder of lists, or, as the challenge laid them out, the folder that holds `SPLIT_normal/` (or else
/// `SPLIT_perturbed/`). `truth` may be gzipped (`.gz`).
///
/// # Errors
/// A path that cannot be read, a broken table or list (with the line), a split that the table lacks, or no list of the split.
pub fn score(lists: &Path, truth: &Path, split: &str) -> Result<Scores> {
    let text = read_truth(truth)?;
    let table = Truth::parse(&text).map_err(|e| e.in_file(truth.display().to_string()))?;
    let mut of_split: HashMap<&str, Vec<&str>> = HashMap::new();
    for id in &table.order {
        let entry = &table.shapes[id];
        if entry.split == split {
            of_split.entry(entry.class).or_default().push(id);
        }
    }
    if of_split.is_empty() {
        let known: std::collections::BTreeSet<_> = table.shapes.values().map(|s| s.split).collect();
        let known: Vec<_> = known.into_iter().collect();
        return Err(Error::Invalid(format!("{}: no shape of split '{split}', only {known:?}", truth.display())));
    }

    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut micro = Sum::default();
    for (query, path) in list_files(&folder_of_lists(lists, split)?)? {
        let Some(entry) = table.shapes.get(query.as_str()).filter(|s| s.split == split) else { continue };
        let list = read_list(&path)?;
        let members = &of_split[entry.class];
        let gains = table.gains(entry, list.iter().map(String::as_str));
        let ideal = table.gains(entry, members.iter().copied().take(CUT));
        let measures = measure(&gains, ideal);
        micro.add(&measures);
        sums.entry(entry.class).or_default().add(&measures);
    }
    if sums.is_empty() {
        return Err(Error::Invalid(format!("{}: no list of a shape of split '{split}'", lists.display())));
    }
    let classes: BTreeMap<_, _> = sums.iter().map(|(class, sum)| ((*class).to_owned(), sum.mean())).collect();
    let mut macro_ = Sum::default();
    classes.values().for_each(|m| macro_.add(m));
    let macro_ = Measures { num: classes.len() + 1, ..macro_.mean() };
    Ok(Scores { micro: micro.mean(), macro_, classes })
}

/// What the truth says of one shape.
struct Shape<'a> {
    class: &'a str,
    subclass: &'a str,
    split: &'a str,
}

struct Truth<'a> {
    shapes: HashMap<&'a str, Shape<'a>>,
    /// The ids as the table has them.
    order: Vec<&'a str>,
}

impl<'a> Truth<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let mut truth = Truth { shapes: HashMap::new(), order: Vec::new() };
        for (i, line) in text.lines().enumerate() {
            let bad = |problem: String| Error::malformed(At::Line(i + 1), problem);
            if line.is_empty() {
                continue;
            }
            let fields: Vec<_> = line.split(',').collect();
            let [id, class, subclass, _, split] = fields[..] else {
                let found = fields.len();
                return Err(bad(format!("{found} fields, expected 5: id,synsetId,subSynsetId,modelId,split")));
            };
            if id == "id" {
                continue;
            }
            if id.is_empty() || class.is_empty() || split.is_empty() {
                return Err(bad("empty id, synsetId or split".into()));
            }
            if truth.shapes.insert(id, Shape { class, subclass, split }).is_some() {
                return Err(bad(format!("id {id} is repeated")));
            }
            truth.order.push(id);
        }
        Ok(truth)
    }

    /// Rule 4, for the results that are known and of the query's split.
    fn gains<'i>(&self, query: &Shape, results: impl Iterator<Item = &'i str>) -> Vec<u8> {
        let known = results.filter_map(|id| self.shapes.get(id)).filter(|s| s.split == query.split);
        known
            .map(|result| {
                if result.class != query.class {
                    0
                } else if result.subclass == query.subclass {
                    3
                } else if result.subclass == query.class {
                    2
                } else {
                    1
                }
            })
            .collect()
    }
}

/// Rules 5 and 6. `ideal` holds the gains of the R shapes that ought to be found.
fn measure(gains: &[u8], mut ideal: Vec<u8>) -> Measures {
    let relevant = ideal.len() as f64;
    let (mut hits, mut precisions) = (0.0, 0.0);
    for (i, _) in gains.iter().enumerate().filter(|(_, gain)| **gain > 0) {
        hits += 1.0;
        precisions += hits / (i + 1) as f64;
    }
    // Of an empty list the first three, and the gain, are 0/0, as in the evaluator.
    let precision = hits / gains.len() as f64;
    let recall = if gains.is_empty() { f64::NAN } else { hits / relevant };
    let both = precision + recall;
    let f1 = if both == 0.0 { 0.0 } else { 2.0 * precision * recall / both };
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let gained = discounted(&gains[..gains.len().min(ideal.len())]);
    Measures { precision, recall, f1, map: precisions / relevant, ndcg: gained / discounted(&ideal), num: 1 }
}

fn discounted(gains: &[u8]) -> f64 {
    let Some((first, rest)) = gains.split_first() else { return f64::NAN };
    rest.iter().zip(2u32..).fold(f64::from(*first), |sum, (gain, rank)| sum + f64::from(*gain) / f64::from(rank).log2())
}

#[derive(Default)]
struct Sum {
    values: [f64; 5],
    num: usize,
}

impl Sum {
    fn add(&mut self, m: &Measures) {
        let values = [m.precision, m.recall, m.f1, m.map, m.ndcg];
        self.values.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        self.num += 1;
    }

    fn mean(&self) -> Measures {
        let [precision, recall, f1, map, ndcg] = self.values.map(|sum| sum / self.num as f64);
        Measures { precision, recall, f1, map, ndcg, num: self.num }
    }
}

fn folder_of_lists(lists: &Path, split: &str) -> Result<PathBuf> {
    let candidates = ["normal", "perturbed"].map(|kind| lists.join(format!("{split}_{kind}")));
    Ok(candidates.into_iter().find(|folder| folder.is_dir()).unwrap_or_else(|| lists.to_owned()))
}

/// The lists by padded id, in byte order of the file names: where two names pad to one id, the later counts.
fn list_files(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let io = |e| Error::io(folder, e);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if let (Some(name), true) = (entry.file_name().to_str(), entry.path().is_file()) {
            files.push((name.to_owned(), entry.path()));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(name, path)| (padded(&name), path)).collect())
}

/// Rules 1 and 2, but for the ids that are unknown.
fn read_list(path: &Path) -> Result<Vec<String>> {
    let bytes = read_capped(path, File::open(path).map_err(|e| Error::io(path, e))?, LIST_CAP)?;
    // What is no text becomes replacement characters, which no id has.
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty()).take(CUT);
    let (mut ids, mut seen) = (Vec::new(), HashSet::new());
    for (index, line) in lines {
        let id =
            padded(id_of(line).map_err(|problem| {
                Error::malformed(At::Line(index + 1), problem).in_file(path.display().to_string())
            })?);
        if seen.insert(id.clone()) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The id that a line of a list begins with.
fn id_of(line: &str) -> Result<&str, String> {
    let (id, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is_id = !id.is_empty() && id.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
    if is_id && rest.split_ascii_whitespace().all(|number| number.parse::<f64>().is_ok()) {
        return Ok(id);
    }
    let shown: String = line.chars().take(LINE_SHOWN).collect();
    Err(format!("{shown:?} is no line of a list: an id, or an id, a space and a number"))
}

fn padded(id: &str) -> String {
    let length = id.chars().count();
    "0".repeat(ID_LENGTH.saturating_sub(length))
        + &id.chars().skip(length.saturating_sub(ID_LENGTH)).collect::<String>()
}

fn read_truth(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let bytes = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
        read_capped(path, flate2::read::MultiGzDecoder::new(file), TRUTH_CAP)?
    } else {
        read_capped(path, file, TRUTH_CAP)?
    };
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::malformed(At::Byte(at), "not UTF-8 text").in_file(path.display().to_string())
    })
}

fn read_capped(path: &Path, source: impl Read, cap: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = source.take(cap + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
    if read as u64 > cap {
        return Err(Error::malformed(At::File, format!("larger than {cap} bytes")).in_file(path.display().to_string()));
    }
    Ok(bytes)
}
