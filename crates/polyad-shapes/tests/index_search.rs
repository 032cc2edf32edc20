//! Neighbours are those that a plain comparison in double precision finds.

mod index_support;

use index_support::{Folder, SET, embedding, settings, stream};
use polyad_shapes::index::{EXACT_BELOW, Index, IndexWriter, MemoryIndex, Neighbour, Score, SearchOptions};
use polyad_shapes::job::Job;

/// Cosines after a centre of n / (n + 16) times the mean is taken away.
fn reference(library: &[Vec<f32>], query: &[f32]) -> Vec<f64> {
    let n = library.len() as f64;
    let centre: Vec<f64> =
        (0..query.len()).map(|i| library.iter().map(|x| f64::from(x[i])).sum::<f64>() / (n + 16.0)).collect();
    let away = |x: &[f32]| -> Vec<f64> { x.iter().zip(&centre).map(|(x, c)| f64::from(*x) - c).collect() };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let q = away(query);
    let cosine = |x: &[f64]| dot(&q, x) / (dot(&q, &q) * dot(x, x)).sqrt();
    library.iter().map(|x| cosine(&away(x))).collect()
}

struct Case {
    _dir: tempfile::TempDir,
    index: Index,
    memory: MemoryIndex,
}

/// `lines`: name, seed, noise, diagonal.
fn build(lines: &[(String, u64, f32, f64)]) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(&dir.path().join("parts"));
    for (name, seed, noise, diagonal) in lines {
        folder.write(name, &format!("{seed} {noise} {diagonal}"));
    }
    let place = dir.path().join("index");
    IndexWriter::open(&place, &settings()).unwrap().update(&folder, Job::silent()).unwrap();
    let (memory, failures) = MemoryIndex::build(&folder, SET, index_support::VIEW, Job::silent()).unwrap();
    assert!(failures.is_empty());
    Case { index: Index::open(&place).unwrap(), memory, _dir: dir }
}

impl Case {
    /// What both find, which must be the same.
    fn search(&self, seed: u64, noise: f32, options: &SearchOptions) -> Vec<Neighbour> {
        let query = embedding(seed, noise);
        let found = self.index.search(&query, options).unwrap();
        let in_memory = self.memory.search(&query, options).unwrap();
        assert_eq!(found.len(), in_memory.len());
        for (a, b) in found.iter().zip(&in_memory) {
            assert!(a.path == b.path && (a.score - b.score).abs() < 1e-5, "{a:?} on disk, {b:?} in memory");
        }
        found
    }
}

fn clusters(n: u64) -> Vec<(String, u64, f32, f64)> {
    (0..n).map(|i| (format!("{i:04}.txt"), i / 5, (i % 5) as f32 * 0.1, 10.0 + i as f64)).collect()
}

#[test]
fn neighbours_and_scores_are_those_of_a_plain_comparison() {
    for n in [1, 2, 3, 40, 500] {
        let lines = clusters(n);
        let case = build(&lines);
        let library: Vec<_> = lines.iter().map(|l| embedding(l.1, l.2).set).collect();
        for (seed, noise) in [(0, 0.0), (3, 0.25), (7777, 0.0)] {
            let expected = reference(&library, &embedding(seed, noise).set);
            let found = case.search(seed, noise, &SearchOptions { k: 12, ..SearchOptions::default() });
            assert_eq!(found.len() as u64, n.min(12));
            let mut best = expected.clone();
            best.sort_by(|a, b| b.total_cmp(a));
            for (neighbour, best) in found.iter().zip(best) {
                let number: usize = neighbour.path["parts/".len()..][..4].parse().unwrap();
                let score = f64::from(neighbour.score);
                assert!((score - expected[number]).abs() < 1e-5, "n = {n}: {neighbour:?}, not {}", expected[number]);
                assert!((score - best).abs() < 1e-5, "n = {n}: {neighbour:?} where {best} was to be had");
            }
        }
    }
}

#[test]
fn a_small_library_still_tells_alike_from_unlike() {
    for others in 1..6 {
        let mut lines = vec![("a.txt".to_owned(), 1, 0.0, 1.0)];
        lines.extend((0..others).map(|i| (format!("b{i}.txt"), 50 + i, 0.0, 1.0)));
        let found = build(&lines).search(1, 0.05, &SearchOptions::default());
        assert_eq!(found[0].path, "parts/a.txt");
        assert!(found[0].score > 0.98 && found[0].score > found[1].score + 0.02, "{found:?}");
    }
}

#[test]
fn equal_scores_are_ordered_by_path_even_at_the_end_of_the_list() {
    // Ten names for one embedding: some share content, others differ in their diagonal only.
    let lines: Vec<_> = (0..10).rev().map(|i| (format!("{i}.txt"), 4, 0.0, 1.0 + f64::from(i % 3))).collect();
    let case = build(&lines);
    for k in 1..=10 {
        let found = case.search(4, 0.2, &SearchOptions { k, ..SearchOptions::default() });
        let expected: Vec<_> = (0..k).map(|i| format!("parts/{i}.txt")).collect();
        assert_eq!(found.iter().map(|n| n.path.clone()).collect::<Vec<_>>(), expected);
    }
    let options = SearchOptions { k: 3, exclude: Some("parts/1.txt".into()), ..SearchOptions::default() };
    let found: Vec<_> = case.search(4, 0.0, &options).into_iter().map(|n| n.path).collect();
    assert_eq!(found, ["parts/0.txt", "parts/2.txt", "parts/3.txt"]);
}

#[test]
fn same_size_keeps_what_is_within_a_tenth_and_still_finds_k() {
    let case = build(&clusters(400));
    let options = SearchOptions { k: 10, same_size: Some(200.0), ..SearchOptions::default() };
    let found = case.search(0, 0.0, &options);
    assert_eq!(found.len(), 10);
    for neighbour in &found {
        let diagonal = case.index.stored(&neighbour.path).unwrap().unwrap().1.unwrap();
        assert!((180.0..=220.0).contains(&diagonal), "{neighbour:?} has {diagonal}");
    }
    let every = SearchOptions { k: 1000, ..options.clone() };
    assert_eq!(case.search(0, 0.0, &every).len(), 41);
    assert!(case.search(0, 0.0, &SearchOptions { same_size: Some(5000.0), ..options }).is_empty());
}

#[test]
fn best_view_finds_a_shape_by_one_picture_of_it() {
    let case = build(&clusters(300));
    let mut query = embedding(17, 0.0);
    query.views.truncate(2);
    query.views.remove(0);
    // The set says that it is another shape.
    query.set = embedding(40, 0.0).set;
    let options = SearchOptions { k: 1, score: Score::BestView, ..SearchOptions::default() };
    let found = case.index.search(&query, &options).unwrap();
    assert_eq!(found[0].path, "parts/0085.txt");
    assert!(found[0].score > 0.9999, "{found:?}");
    assert_eq!(case.memory.search(&query, &options).unwrap()[0].path, found[0].path);
}

#[test]
fn neighbours_of_all_are_those_of_each() {
    let case = build(&clusters(300));
    let entries = case.index.entries().unwrap();
    let mut place = 0;
    entries
        .neighbours_of_all(4, Job::silent(), |neighbours| {
            let entry = entries.get(place)?;
            let query = case.index.stored(&entry.paths[0])?.unwrap().0;
            let options = SearchOptions { k: 4, exclude: Some(entry.paths[0].clone()), ..SearchOptions::default() };
            for (found, (other, score)) in case.index.search(&query, &options)?.iter().zip(neighbours) {
                assert_eq!((&found.path, found.score), (&entries.get(other)?.paths[0], score));
            }
            place += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(place, 300);
}

#[test]
fn queries_of_another_width_are_refused() {
    let case = build(&clusters(3));
    let mut query = embedding(1, 0.0);
    query.set.pop();
    assert!(case.index.search(&query, &SearchOptions::default()).is_err());
    let mut query = embedding(1, 0.0);
    query.views[0].push(0.0);
    assert!(case.memory.search(&query, &SearchOptions::default()).is_err());
}

#[test]
fn a_large_library_is_answered_by_its_graph_and_stays_right_through_updates() {
    let dir = tempfile::tempdir().unwrap();
    let n = EXACT_BELOW as u64 + 300;
    let library = |from: u64, to: u64| Synthetic { from, to };
    let place = dir.path().join("index");
    let mut writer = IndexWriter::open(&place, &settings()).unwrap();
    writer.update(&library(0, n), Job::silent()).unwrap();
    let recall = |index: &Index, from: u64, to: u64| {
        let all: Vec<_> = (0..n).map(Synthetic::set).collect();
        let mut hits = 0;
        for q in (from..to).step_by(400) {
            let expected = reference_at(&all, from, to, &Synthetic::set(q));
            let query = polyad_shapes::embedding::Embedding { set: Synthetic::set(q), views: Vec::new() };
            let found = index.search(&query, &SearchOptions::default()).unwrap();
            assert_eq!(found[0].path, Synthetic::name(q));
            hits += found.iter().filter(|f| f64::from(f.score) >= expected - 1e-5).count();
        }
        hits as f64 / ((to - from).div_ceil(400) * 10) as f64
    };
    let first = recall(writer.index(), 0, n);
    assert!(first >= 0.98, "recall {first}");
    let report = writer.update(&library(150, n), Job::silent()).unwrap();
    assert_eq!((report.removed, report.unchanged), (150, n as usize - 150));
    let second = recall(writer.index(), 150, n);
    assert!(second >= 0.98, "recall {second} after removals");
    // Small again: exact.
    writer.update(&library(400, n), Job::silent()).unwrap();
    assert_eq!(recall(writer.index(), 400, n), 1.0);
}

/// The tenth best score among some of the shapes, with the centre of all.
fn reference_at(all: &[Vec<f32>], from: u64, to: u64, query: &[f32]) -> f64 {
    let mut scores = reference(all, query)[from as usize..to as usize].to_vec();
    scores.sort_by(|a, b| b.total_cmp(a));
    scores[9]
}

/// Numbered shapes in clusters of fifty.
struct Synthetic {
    from: u64,
    to: u64,
}

struct Number(u64, String);

impl Synthetic {
    fn name(i: u64) -> String {
        format!("parts/{i:06}")
    }

    fn set(i: u64) -> Vec<f32> {
        stream(i / 50).zip(stream(1_000_000 + i)).take(SET).map(|(c, e)| 1.0 + c + 0.2 * e).collect()
    }
}

impl polyad_shapes::index::Item for Number {
    fn path(&self) -> &str {
        &self.1
    }

    fn stamp(&self) -> polyad_shapes::Result<polyad_shapes::source::Stamp> {
        Ok(polyad_shapes::source::Stamp { size: self.0, mtime_ns: 0 })
    }

    fn hash(&self) -> polyad_shapes::Result<[u8; 32]> {
        Ok(*blake3::hash(&self.0.to_le_bytes()).as_bytes())
    }
}

impl polyad_shapes::index::Library for Synthetic {
    type Item = Number;

    fn root(&self) -> &str {
        "parts"
    }

    fn place(&self) -> Option<String> {
        None
    }

    fn items(&self, _: Job) -> polyad_shapes::Result<polyad_shapes::index::Listing<Number>> {
        let items = (self.from..self.to).map(|i| Number(i, Self::name(i))).collect();
        Ok(polyad_shapes::index::Listing { items, failures: Vec::new() })
    }

    fn prepare(&self, items: &[&Number], _: Job) -> Vec<polyad_shapes::Result<polyad_shapes::index::Prepared>> {
        let prepare = |item: &&Number| {
            Ok(polyad_shapes::index::Prepared {
                embedding: polyad_shapes::embedding::Embedding { set: Self::set(item.0), views: Vec::new() },
                diagonal: None,
                triangles: None,
                thumbnail: Vec::new(),
            })
        };
        items.iter().map(prepare).collect()
    }
}
