//! The index follows its library, and nothing that happens to either loses more than it must.

mod index_support;

use index_support::{Folder, embedding, settings};
use polyad_shapes::Error;
use polyad_shapes::index::{Index, IndexWriter, Report, Score, SearchOptions};
use polyad_shapes::job::Job;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn update(index: &Path, folder: &Folder) -> Result<Report, Error> {
    IndexWriter::open(index, &settings())?.update(folder, Job::silent())
}

/// Added, updated, removed, unchanged, failed.
fn counts(report: &Report) -> [usize; 5] {
    [report.added, report.updated, report.removed, report.unchanged, report.failed.len()]
}

fn nearest(index: &Path, seed: u64, noise: f32, k: usize) -> Vec<(String, f32)> {
    let options = SearchOptions { k, ..SearchOptions::default() };
    let found = Index::open(index).unwrap().search(&embedding(seed, noise), &options).unwrap();
    found.into_iter().map(|n| (n.path, n.score)).collect()
}

fn library(files: usize) -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::new(&dir.path().join("parts"));
    fs::create_dir(&folder.path).unwrap();
    for seed in 0..files {
        folder.write(&format!("{}/{seed:03}.txt", ["a", "b"][seed % 2]), &format!("{seed} 0 {}", seed + 1));
    }
    (dir, folder)
}

#[test]
fn only_what_changed_is_embedded_again() {
    let (dir, folder) = library(70);
    let index = dir.path().join("index");
    assert_eq!(counts(&update(&index, &folder).unwrap()), [70, 0, 0, 0, 0]);
    assert_eq!(folder.take_prepared(), 70);
    assert_eq!(counts(&update(&index, &folder).unwrap()), [0, 0, 0, 70, 0]);
    assert_eq!(folder.take_prepared(), 0);

    // Touched, copied, moved: known by their content.
    folder.write("a/000.txt", "0 0 1");
    fs::copy(folder.path.join("a/002.txt"), folder.path.join("copy.txt")).unwrap();
    fs::rename(folder.path.join("b/001.txt"), folder.path.join("moved.txt")).unwrap();
    assert_eq!(counts(&update(&index, &folder).unwrap()), [2, 0, 1, 69, 0]);
    assert_eq!(folder.take_prepared(), 0);
    let both = nearest(&index, 2, 0.0, 2);
    assert_eq!((both[0].0.as_str(), both[1].0.as_str()), ("parts/a/002.txt", "parts/copy.txt"));
    assert_eq!(nearest(&index, 1, 0.0, 1)[0].0, "parts/moved.txt");

    // Edited and deleted.
    folder.write("a/004.txt", "900 0 1");
    fs::remove_file(folder.path.join("a/006.txt")).unwrap();
    assert_eq!(counts(&update(&index, &folder).unwrap()), [0, 1, 1, 69, 0]);
    assert_eq!(folder.take_prepared(), 1);
    assert_eq!(nearest(&index, 900, 0.0, 1)[0].0, "parts/a/004.txt");
    assert!(nearest(&index, 6, 0.0, 1)[0].1 < 0.99);
    assert_eq!(Index::open(&index).unwrap().size().unwrap(), (70, 69));
}

#[test]
fn scores_stay_when_the_library_grows() {
    let (dir, folder) = library(20);
    let index = dir.path().join("index");
    update(&index, &folder).unwrap();
    let before = nearest(&index, 3, 0.5, 20);
    for seed in 100..300 {
        folder.write(&format!("{seed}.txt"), &format!("{seed} 0 1"));
    }
    update(&index, &folder).unwrap();
    let after = nearest(&index, 3, 0.5, 220);
    assert!(before.iter().all(|neighbour| after.contains(neighbour)));
}

#[test]
fn unreadable_files_are_listed_remembered_and_tried_again_when_they_change() {
    let (dir, folder) = library(3);
    let index = dir.path().join("index");
    folder.write("a/broken.txt", "no shape");
    let first = update(&index, &folder).unwrap();
    assert_eq!(counts(&first), [3, 0, 0, 0, 1]);
    assert_eq!(first.failed[0].path, "parts/a/broken.txt");
    assert_eq!(first.failed[0].error, "not supported: not three numbers: no shape");
    folder.take_prepared();
    let second = update(&index, &folder).unwrap();
    assert_eq!((counts(&second), &second.failed), ([0, 0, 0, 3, 1], &first.failed));
    assert_eq!(folder.take_prepared(), 0);

    folder.write("a/broken.txt", "7 0 1");
    assert_eq!(counts(&update(&index, &folder).unwrap()), [1, 0, 0, 3, 0]);
    folder.write("a/broken.txt", "broken again");
    assert_eq!(counts(&update(&index, &folder).unwrap()), [0, 0, 1, 3, 1]);
    assert!(nearest(&index, 7, 0.0, 9).iter().all(|n| n.0 != "parts/a/broken.txt"));
}

#[test]
fn a_vanished_or_empty_folder_is_an_error_and_loses_nothing() {
    let (dir, folder) = library(5);
    let index = dir.path().join("index");
    update(&index, &folder).unwrap();
    let before = nearest(&index, 0, 0.0, 9);

    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&folder.path, &elsewhere).unwrap();
    assert!(matches!(update(&index, &folder), Err(Error::Io { .. })));
    fs::create_dir(&folder.path).unwrap();
    let message = update(&index, &folder).unwrap_err().to_string();
    assert!(message.contains("parts holds no shapes, though 5 of it are in the index"), "{message}");
    assert_eq!(nearest(&index, 0, 0.0, 9), before);

    fs::remove_dir(&folder.path).unwrap();
    fs::rename(&elsewhere, &folder.path).unwrap();
    assert_eq!(counts(&update(&index, &folder).unwrap()), [0, 0, 0, 5, 0]);
}

#[test]
fn paths_can_be_taken_out_alone_or_by_folder() {
    let (dir, folder) = library(6);
    let index = dir.path().join("index");
    update(&index, &folder).unwrap();
    let mut writer = IndexWriter::existing(&index).unwrap();
    assert_eq!(writer.remove("parts/a/", Job::silent()).unwrap().removed, 3);
    assert_eq!(writer.remove("parts/b/001.txt", Job::silent()).unwrap().removed, 1);
    for unknown in ["parts/b/001.txt", "parts/a", "part", "parts/b/00"] {
        assert!(matches!(writer.remove(unknown, Job::silent()), Err(Error::Invalid(_))), "{unknown}");
    }
    assert_eq!(writer.index().size().unwrap(), (2, 2));
}

#[test]
fn another_folder_in_the_same_index_is_left_alone() {
    let (dir, folder) = library(4);
    let mut other = Folder::new(&dir.path().join("other"));
    other.spelled = "parts2".into();
    other.write("x.txt", "50 0 1");
    let index = dir.path().join("index");
    update(&index, &folder).unwrap();
    assert_eq!(counts(&update(&index, &other).unwrap()), [1, 0, 0, 0, 0]);
    assert_eq!(counts(&update(&index, &folder).unwrap()), [0, 0, 0, 4, 0]);
    assert_eq!(Index::open(&index).unwrap().size().unwrap(), (5, 5));
}

#[test]
fn a_folder_given_by_another_name_is_the_same_folder() {
    let (dir, mut folder) = library(40);
    folder.write("broken.txt", "no shape");
    let index = dir.path().join("index");
    update(&index, &folder).unwrap();
    folder.take_prepared();
    for spelled in ["/home/me/parts", "parts/../parts", "parts"] {
        folder.spelled = spelled.into();
        assert_eq!(counts(&update(&index, &folder).unwrap()), [0, 0, 0, 40, 1], "{spelled}");
        assert_eq!(nearest(&index, 4, 0.0, 1)[0].0, format!("{spelled}/a/004.txt"));
        assert_eq!(Index::open(&index).unwrap().size().unwrap(), (40, 40));
    }
    assert_eq!(folder.take_prepared(), 0);
}

#[test]
fn a_second_writer_and_another_model_are_refused() {
    let (dir, folder) = library(2);
    let index = dir.path().join("index");
    update(&index, &folder).unwrap();
    let first = IndexWriter::open(&index, &settings()).unwrap();
    let message = IndexWriter::open(&index, &settings()).err().unwrap().to_string();
    assert!(message.contains("being written by another process"), "{message}");
    drop(first);

    let other = polyad_shapes::index::Settings { identity: "numbers-2".into(), ..settings() };
    let message = IndexWriter::open(&index, &other).err().unwrap().to_string();
    assert!(message.contains("numbers-1") && message.contains("numbers-2"), "{message}");
    let message = Index::open(&index).unwrap().require_model("numbers-2").unwrap_err().to_string();
    assert!(message.contains("numbers-1") && message.contains("numbers-2"), "{message}");
}

#[test]
fn damaged_and_foreign_folders_are_refused_in_words() {
    let (dir, folder) = library(300);
    let index = dir.path().join("index");
    update(&index, &folder).unwrap();
    let data = index.join("data.mdb");
    let whole = fs::read(&data).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for (name, bytes) in [
        ("cut in half", whole[..used / 2].to_vec()),
        ("cut to a page", whole[..4096].to_vec()),
        ("empty", Vec::new()),
        ("other content", vec![0x5A; 2 << 20]),
        ("zeros", vec![0; 2 << 20]),
    ] {
        fs::write(&data, bytes).unwrap();
        assert!(matches!(Index::open(&index).err(), Some(Error::Index(_))), "{name}: opened for reading");
        let opened = IndexWriter::open(&index, &settings());
        assert!(matches!(opened.err(), Some(Error::Index(_))), "{name}: opened for writing");
    }
    fs::write(&data, whole).unwrap();
    assert_eq!(Index::open(&index).unwrap().size().unwrap(), (300, 300));

    let message = Index::open(&folder.path).err().unwrap().to_string();
    assert!(message.contains("is not an index"), "{message}");
    assert!(matches!(IndexWriter::existing(&folder.path).err(), Some(Error::Index(_))));
    assert!(!folder.path.join("writer.lock").exists());
}

#[test]
fn a_byte_that_a_disk_has_changed_is_noticed_when_it_is_read() {
    let (dir, folder) = library(20);
    let index = dir.path().join("index");
    update(&index, &folder).unwrap();
    let data = index.join("data.mdb");
    let whole = fs::read(&data).unwrap();
    let own = embedding(3, 0.0);
    let path = "parts/b/003.txt";
    let stored = Index::open(&index).unwrap().stored(path).unwrap().unwrap().0;
    let halves = stored.views[0].iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect::<Vec<u8>>();
    let search = |score: Score| {
        let options = SearchOptions { k: 1, score, ..SearchOptions::default() };
        Index::open(&index)?.search(&own, &options).map(|_| ())
    };
    let by_set = || search(Score::Set);
    let by_view = || search(Score::BestView);
    let picture = || Index::open(&index)?.thumbnail(path).map(|_| ());
    let again = || update(&index, &folder).map(|_| ());
    let floats: Vec<u8> = own.set.iter().flat_map(|x| x.to_le_bytes()).collect();
    type Reading<'a> = &'a dyn Fn() -> Result<(), Error>;
    let cases: [(&str, &[u8], Reading); 4] = [
        ("embedding", &floats, &by_set),
        ("views", &halves, &by_view),
        ("picture", b"picture of 3", &picture),
        ("path", path.as_bytes(), &again),
    ];
    for (name, written, read) in cases {
        read().unwrap();
        let mut changed = fs::read(&data).unwrap();
        let places: Vec<usize> =
            changed.windows(written.len()).enumerate().filter(|(_, at)| *at == written).map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "{name} is not in the file as it was expected");
        places.into_iter().for_each(|at| changed[at + written.len() / 2] ^= 1);
        fs::write(&data, changed).unwrap();
        let why = read().expect_err(name).to_string();
        assert!(why.contains("is damaged") && why.contains("build it again"), "{name}: {why}");
        fs::write(&data, &whole).unwrap();
    }
}

#[test]
fn a_killed_update_loses_at_most_a_batch_and_goes_on() {
    let (dir, folder) = library(400);
    let index = dir.path().join("index");
    let mut had = 0;
    for wait in [300, 200, 350, 150] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "updates_slowly_when_asked", "--nocapture"])
            .env("POLYAD_TEST_UPDATE", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        // A kill may come before the first table exists.
        let Ok(opened) = Index::open(&index) else { continue };
        let (paths, shapes) = opened.size().unwrap();
        assert_eq!(paths, shapes);
        assert!(paths >= had, "{had} paths became {paths}");
        had = paths;
        let all = SearchOptions { k: 1000, ..SearchOptions::default() };
        assert_eq!(opened.search(&embedding(0, 0.0), &all).unwrap().len() as u64, paths);
    }
    assert!(had > 0, "every kill came before the first commit");
    let report = update(&index, &folder).unwrap();
    assert_eq!((report.added, report.unchanged), (400 - had as usize, had as usize));

    let fresh = dir.path().join("fresh");
    update(&fresh, &folder).unwrap();
    assert_eq!(nearest(&index, 9, 0.3, 400), nearest(&fresh, 9, 0.3, 400));
}

/// The child of the test above; alone it does nothing.
#[test]
fn updates_slowly_when_asked() {
    let Some(dir) = std::env::var_os("POLYAD_TEST_UPDATE") else { return };
    let dir = Path::new(&dir);
    let mut folder = Folder::new(&dir.join("parts"));
    folder.pause = Duration::from_millis(1);
    update(&dir.join("index"), &folder).unwrap();
}
