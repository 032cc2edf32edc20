//! Folders, archives and photographs as lists of shapes.

use super::*;
use image::{DynamicImage, GrayImage, Luma, Rgba, RgbaImage};
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

const OFF: &str = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n";

struct Tree(TempDir);

impl Tree {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let tree = Tree(TempDir::new().unwrap());
        for (name, bytes) in files {
            let path = tree.at(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        tree
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Shapes and failures, without the folder's own path.
    fn walk(&self, name: &str) -> (Vec<String>, Vec<(String, String)>) {
        self.walk_classes(name, Classes::Unknown)
    }

    fn walk_classes(&self, name: &str, classes: Classes) -> (Vec<String>, Vec<(String, String)>) {
        let found = walk_classes(&self.at(name), classes, Job::silent()).unwrap();
        let short = |path: &str| path.strip_prefix(&format!("{}/", self.0.path().display())).unwrap().to_owned();
        let shapes = found.shapes.iter().map(|source| short(&source.path)).collect();
        (shapes, found.failures.into_iter().map(|failure| (short(&failure.path), failure.error)).collect())
    }

    fn only(&self, name: &str) -> Source {
        let mut shapes = walk(&self.at(name), Job::silent()).unwrap().shapes;
        assert_eq!(shapes.len(), 1, "{shapes:?}");
        shapes.remove(0)
    }
}

fn png(width: u32, height: u32) -> Vec<u8> {
    encode(&DynamicImage::from(GrayImage::from_pixel(width, height, Luma([7]))))
}

fn encode(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_folder_is_walked_in_byte_order_and_other_files_are_passed_over() {
    let off = OFF.as_bytes();
    let tree = Tree::new(&[
        ("lib/b.off", off),
        ("lib/B.OFF", off),
        ("lib/a/z.stl.gz", b""),
        ("lib/a.obj", b""),
        ("lib/README.txt", b""),
        ("lib/x.json", b""),
        ("lib/.hidden/a.off", off),
        ("lib/._a.off", off),
        ("lib/é.ply", b""),
    ]);
    assert_eq!(tree.walk("lib").0, ["lib/B.OFF", "lib/a/z.stl.gz", "lib/a.obj", "lib/b.off", "lib/é.ply"]);
}

#[test]
fn members_of_archives_are_shapes_and_archives_in_archives_are_failures() {
    let inner = zip(&[("x.off", OFF.as_bytes())]);
    let archive = zip(&[
        ("b/in ner.off", OFF.as_bytes()),
        ("a.off", OFF.as_bytes()),
        ("b/deep.zip", &inner),
        ("__MACOSX/._a.off", b"x"),
        ("notes.md", b"x"),
        ("../out.off", OFF.as_bytes()),
    ]);
    let tree =
        Tree::new(&[("lib/set.ZIP", &archive), ("lib/broken.zip", b"PK\x03\x04 no"), ("lib/z.off", OFF.as_bytes())]);
    let (shapes, failures) = tree.walk("lib");
    assert_eq!(shapes, ["lib/set.ZIP/a.off", "lib/set.ZIP/b/in ner.off", "lib/z.off"]);
    let paths: Vec<&str> = failures.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["lib/broken.zip", "lib/set.ZIP/../out.off", "lib/set.ZIP/b/deep.zip"]);
    assert!(failures[0].1.starts_with("file: ZIP: "), "{}", failures[0].1);
    assert_eq!(failures[2].1, "an archive inside an archive is not opened");

    for source in walk(&tree.at("lib/set.ZIP"), Job::silent()).unwrap().shapes {
        let Shape::Mesh(mesh) = source.load().unwrap() else { panic!("{source:?}") };
        assert_eq!(mesh.triangles.len(), 1);
        assert_eq!(source.content_hash().unwrap(), *blake3::hash(OFF.as_bytes()).as_bytes());
        assert_eq!(source.stamp().unwrap().size, archive.len() as u64);
    }
    assert_eq!(tree.walk("lib/set.ZIP/b").0, ["lib/set.ZIP/b/in ner.off"], "members can be named");
    assert!(walk(&tree.at("lib/set.ZIP/c"), Job::silent()).is_err());
}

#[test]
fn a_bomb_in_an_archive_is_refused_when_it_is_loaded() {
    let tree = Tree::new(&[("a.zip", &zip(&[("bomb.obj", &vec![b' '; 65 << 20])]))]);
    assert!(tree.only("a.zip").load().unwrap_err().to_string().contains("unpack to more than"));
}

#[test]
fn photographs_are_grouped_by_folder_or_by_name() {
    let p = png(2, 2);
    let tree = Tree::new(&[
        ("lib/mug_1.png", &p),
        ("lib/mug_2.JPG", &p),
        ("lib/cup_a_1.png", &p),
        ("lib/cup_b_1.png", &p),
        ("lib/lone.jpeg", &p),
        ("lib/chair/front.png", &p),
        ("lib/chair/side_1.png", &p),
        ("lib/chair/notes.txt", b""),
        ("lib/vase/train/v1_1.png", &p),
        ("lib/vase/train/v1_2.png", &p),
        ("lib/vase/train/v2_1.png", &p),
        ("lib/vase/train/v2_2.png", &p),
        ("lib/vase/test/v3/1.png", &p),
    ]);
    let (shapes, failures) = tree.walk("lib");
    let expected = [
        "lib/chair",
        "lib/cup_a_1.png",
        "lib/cup_b_1.png",
        "lib/lone.jpeg",
        "lib/mug",
        "lib/vase/test/v3",
        "lib/vase/train/v1",
        "lib/vase/train/v2",
    ];
    assert_eq!((shapes, failures), (expected.map(String::from).to_vec(), vec![]));
    let chair = &walk(&tree.at("lib"), Job::silent()).unwrap().shapes[0];
    assert_eq!((chair.kind, chair.files.len()), (Kind::Photos, 2));
    assert_eq!(
        tree.walk("lib/chair").0,
        ["lib/chair/front.png", "lib/chair/side_1.png"],
        "the named folder is no shape"
    );
}

#[test]
fn a_folder_of_pictures_numbered_under_several_names_is_a_class_wherever_it_is_looked_at_from() {
    let p = png(2, 2);
    let tree = Tree::new(&[
        ("lib/mug/a_001.png", &p),
        ("lib/mug/a_002.png", &p),
        ("lib/mug/b_001.png", &p),
        ("lib/mug/c.png", &p),
        ("lib/mug/d/front_1.png", &p),
        ("lib/mug/d/side_1.png", &p),
        ("lib/cup/one_1.png", &p),
        ("lib/cup/one_2.png", &p),
        ("lib/pot/from the left.png", &p),
        ("lib/pot/from_above.png", &p),
        ("views.zip", &zip(&[("mug/a_1.png", &p), ("mug/b_1.png", &p), ("pot/x_1.png", &p), ("pot/x_2.png", &p)])),
    ]);
    let mug = ["lib/mug/a", "lib/mug/b_001.png", "lib/mug/c.png", "lib/mug/d"];
    assert_eq!(tree.walk("lib").0, [&["lib/cup"][..], &mug, &["lib/pot"]].concat());
    assert_eq!(tree.walk("lib/mug").0, mug);
    assert_eq!(tree.walk("views.zip").0, ["views.zip/mug/a_1.png", "views.zip/mug/b_1.png", "views.zip/pot"]);
    assert_eq!(tree.walk("lib/mug/d").0, ["lib/mug/d/front_1.png", "lib/mug/d/side_1.png"], "a folder that is named");
    // Where it is known what the classes are, names need not tell.
    assert_eq!(tree.walk_classes("lib/mug", Classes::Root).0, mug);
    let pot = ["lib/pot/from the left.png", "lib/pot/from_above.png"];
    assert_eq!(tree.walk_classes("lib", Classes::Below).0, [&["lib/cup/one"][..], &mug, &pot].concat());
}

#[test]
fn refused_members_are_listed_in_byte_order_with_the_others() {
    let inner = zip(&[("x.off", OFF.as_bytes())]);
    let archive =
        zip(&[("z/deep.zip", &inner), ("../b.off", OFF.as_bytes()), ("a.zip", &inner), ("../a.off", OFF.as_bytes())]);
    let tree = Tree::new(&[("set.zip", &archive)]);
    let failed: Vec<String> = tree.walk("set.zip").1.into_iter().map(|(path, _)| path).collect();
    assert_eq!(failed, ["set.zip/../a.off", "set.zip/../b.off", "set.zip/a.zip", "set.zip/z/deep.zip"]);
}

#[cfg(unix)]
#[test]
fn what_is_neither_a_file_nor_a_folder_is_refused_rather_than_waited_for() {
    let named = br#"{"asset":{"version":"2.0"},"scenes":[{"nodes":[0]}],"nodes":[{"mesh":0}],
        "meshes":[{"primitives":[{"attributes":{"POSITION":0}}]}],
        "accessors":[{"bufferView":0,"componentType":5126,"count":3,"type":"VEC3"}],
        "bufferViews":[{"buffer":0,"byteLength":36}],"buffers":[{"byteLength":36,"uri":"pipe.bin"}]}"#;
    let tree = Tree::new(&[("lib/a.off", OFF.as_bytes()), ("lib/s.gltf", named)]);
    for name in ["lib/pipe.off", "lib/pipe.bin", "pipe.zip"] {
        assert!(std::process::Command::new("mkfifo").arg(tree.at(name)).status().unwrap().success());
    }
    assert_eq!(tree.walk("lib").0, ["lib/a.off", "lib/s.gltf"], "pipes in a folder are passed over");
    for name in ["lib/pipe.off", "pipe.zip"] {
        let error = walk(&tree.at(name), Job::silent()).unwrap_err().to_string();
        assert_eq!(error, format!("{}: neither a file nor a folder", tree.at(name).display()));
    }
    let error = tree.only("lib/s.gltf").load().unwrap_err().to_string();
    assert!(error.contains("pipe.bin") && error.contains("neither a file nor a folder"), "{error}");
}

#[test]
fn pictures_that_belong_to_a_mesh_are_no_shapes() {
    let p = png(2, 2);
    let tree = Tree::new(&[
        ("lib/part.obj", OFF.as_bytes()),
        ("lib/part.png", &p),
        ("lib/part.obj.png", &p),
        ("lib/part.mtl", b"newmtl a\nmap_Kd Fine Wood.PNG\nmap_Bump -bm 1 maps\\bump.jpg\n"),
        ("lib/fine wood.png", &p),
        ("lib/maps/bump.jpg", &p),
        ("lib/scene.gltf", b"{\"images\":[{\"uri\":\"tex/skin.png\"}]}"),
        ("lib/tex/skin.png", &p),
        ("lib/photo.png", &p),
        ("other/bump.jpg", &p),
    ]);
    assert_eq!(tree.walk("lib").0, ["lib/part.obj", "lib/photo.png", "lib/scene.gltf"]);
    assert_eq!(tree.walk("other").0, ["other/bump.jpg"]);
}

#[test]
fn photographs_keep_their_size_up_to_a_limit_and_stand_on_white() {
    let clear =
        encode(&DynamicImage::from(RgbaImage::from_fn(2, 1, |x, _| Rgba([200, 100, 0, if x == 0 { 255 } else { 0 }]))));
    let tree = Tree::new(&[("a/x_1.png", &png(3, 2)), ("a/x_2.png", &clear), ("a/x_3.png", &png(3000, 30))]);
    let Shape::Photos(set) = tree.only("a").load().unwrap() else { panic!() };
    let sizes: Vec<_> = set.views.iter().map(|v| (v.width, v.height, v.channels)).collect();
    assert_eq!(sizes, [(3, 2, 1), (2, 1, 3), (1024, 10, 1)]);
    assert_eq!(set.views[1].pixels, [200, 100, 0, 255, 255, 255]);
    assert_eq!(set.views[0].pixels, [7; 6]);
}

#[test]
fn broken_pictures_and_meshes_say_which_file() {
    let tree =
        Tree::new(&[("a/x_1.png", &png(3, 2)[..30]), ("b.off", b"OFF\n9 9 9\n"), ("c.png", b"\x89PNG\r\n\x1a\n")]);
    let error = tree.only("a").load().unwrap_err().to_string();
    assert!(error.contains("a/x_1.png: file: picture: "), "{error}");
    let error = tree.only("b.off").load().unwrap_err().to_string();
    assert!(error.contains("b.off: line 2: the header promises"), "{error}");
    assert!(tree.only("c.png").load().is_err());
}

#[test]
fn a_picture_that_promises_gigapixels_is_refused() {
    let mut bytes = png(1, 1);
    bytes[16..24].copy_from_slice(&[0, 0, 0x7F, 0xFF, 0, 0, 0x7F, 0xFF]);
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    let tree = Tree::new(&[("a.png", &bytes)]);
    let error = tree.only("a.png").load().unwrap_err().to_string();
    assert!(error.ends_with("not supported: pictures of 32767 x 32767 pixels"), "{error}");
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[test]
fn buffers_beside_a_gltf_are_part_of_it() {
    let gltf = br#"{"asset":{"version":"2.0"},"scenes":[{"nodes":[0]}],"nodes":[{"mesh":0}],
        "meshes":[{"primitives":[{"attributes":{"POSITION":0}}]}],
        "accessors":[{"bufferView":0,"componentType":5126,"count":3,"type":"VEC3"}],
        "bufferViews":[{"buffer":0,"byteLength":36}],"buffers":[{"byteLength":36,"uri":"bin/a%20b.bin"}]}"#;
    let numbers: Vec<u8> = [0., 0., 0., 1., 0., 0., 0., 1., 0.].iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
    let tree = Tree::new(&[
        ("m/s.gltf", gltf),
        ("m/bin/a b.bin", &numbers),
        ("z.zip", &zip(&[("m/s.gltf", gltf), ("m/bin/a b.bin", &numbers)])),
    ]);
    let source = tree.only("m");
    let (hash, stamp) = (source.content_hash().unwrap(), source.stamp().unwrap());
    assert_eq!(source.load().unwrap(), tree.only("z.zip").load().unwrap());
    assert_eq!(hash, tree.only("z.zip").content_hash().unwrap());
    assert_eq!(stamp.size, (gltf.len() + 36) as u64);
    let mut changed = numbers.clone();
    changed[2] = 1;
    std::fs::write(tree.at("m/bin/a b.bin"), changed).unwrap();
    assert_ne!(source.content_hash().unwrap(), hash);
    std::fs::remove_file(tree.at("m/bin/a b.bin")).unwrap();
    assert!(source.load().unwrap_err().to_string().contains("a b.bin"));
    assert!(source.content_hash().is_ok() && source.stamp().is_ok());
}

#[test]
fn sources_survive_being_written_down() {
    let tree = Tree::new(&[("a.zip", &zip(&[("x.off", OFF.as_bytes())]))]);
    let source = tree.only("a.zip");
    let text = serde_json::to_string(&source).unwrap();
    let again: Source = serde_json::from_str(&text).unwrap();
    assert_eq!(again, source);
    assert!(again.load().is_ok());
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_those_that_lead_back_are_failures() {
    let tree = Tree::new(&[("lib/a/x.off", OFF.as_bytes()), ("far/y.off", OFF.as_bytes())]);
    std::os::unix::fs::symlink("..", tree.at("lib/a/up")).unwrap();
    std::os::unix::fs::symlink(tree.at("far"), tree.at("lib/b")).unwrap();
    std::os::unix::fs::symlink("nowhere", tree.at("lib/c.off")).unwrap();
    let (shapes, failures) = tree.walk("lib");
    assert_eq!(shapes, ["lib/a/x.off", "lib/b/y.off"]);
    let paths: Vec<&str> = failures.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["lib/a/up", "lib/c.off"]);
    assert!(failures[0].1.starts_with("the link leads back to "), "{}", failures[0].1);
}

#[test]
fn a_path_that_is_not_there_is_an_error_and_a_cancelled_walk_stops() {
    let tree = Tree::new(&[("lib/a.off", OFF.as_bytes())]);
    assert!(matches!(walk(&tree.at("none"), Job::silent()), Err(Error::Io { .. })));
    let stop = std::sync::atomic::AtomicBool::new(true);
    let job = Job::new(&crate::job::Silent, &stop);
    assert!(matches!(walk(&tree.at("lib"), job), Err(Error::Cancelled)));
}
