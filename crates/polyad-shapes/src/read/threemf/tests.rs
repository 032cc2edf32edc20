//! Builds, components, parts, and every refusal.

use super::*;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

const TRIANGLE: &str = "<mesh><vertices><vertex x='0' y='0' z='0'/><vertex x='1' y='0' z='0'/><vertex x='0' y='1' z='0'/>\
    </vertices><triangles><triangle v1='0' v2='1' v3='2'/></triangles></mesh>";

fn package(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn model(resources: &str, build: &str) -> String {
    format!("<?xml version='1.0'?><model unit='inch'><resources>{resources}</resources><build>{build}</build></model>")
}

fn read(resources: &str, build: &str) -> Result<Mesh> {
    read_3mf(&package(&[("3D/3dmodel.model", &model(resources, build))]))
}

fn refusal(resources: &str, build: &str) -> String {
    read(resources, build).unwrap_err().to_string()
}

#[test]
fn items_and_components_are_placed_one_in_the_other_and_units_are_reported() {
    let resources = format!(
        "<object id='1'>{TRIANGLE}</object><object id='2'><components>\
         <component objectid='1' transform='2 0 0 0 2 0 0 0 2 1 0 0'/><component objectid='1'/></components></object>"
    );
    let mesh = read(&resources, "<item objectid='2' transform='0 1 0 -1 0 0 0 0 1 10 0 0'/>").unwrap();
    assert_eq!(mesh.unit.as_deref(), Some("inch"));
    // (1, 0, 0) scaled and shifted is (3, 0, 0), turned (0, 3, 0), shifted (10, 3, 0).
    assert_eq!(mesh.positions[1], [10.0, 3.0, 0.0]);
    assert_eq!(mesh.positions[4], [10.0, 1.0, 0.0]);
    assert_eq!(mesh.triangles, [[0, 1, 2], [3, 4, 5]]);
}

#[test]
fn mirrored_items_are_turned_round() {
    let mesh = read(
        &format!("<object id='1'>{TRIANGLE}</object>"),
        "<item objectid='1' transform='-1 0 0 0 1 0 0 0 1 0 0 0'/>",
    );
    assert_eq!(mesh.unwrap().triangles, [[0, 2, 1]]);
}

#[test]
fn what_is_not_printable_is_left_out_unless_nothing_else_is_there() {
    let resources = format!("<object id='1'>{TRIANGLE}</object><object id='2'>{TRIANGLE}</object>");
    let hidden = "<item objectid='1' printable='0'/>";
    assert_eq!(read(&resources, &format!("{hidden}<item objectid='2'/>")).unwrap().triangles.len(), 1);
    assert_eq!(read(&resources, &format!("{hidden}{hidden}")).unwrap().triangles.len(), 2);
    assert_eq!(read(&resources, "").unwrap().triangles.len(), 2, "without a build all objects are shown");
}

#[test]
fn components_in_other_parts_are_found_whatever_the_case_and_the_relationships_name_the_model() {
    let relationships = "<Relationships><Relationship Target='/Metadata/x.png' Type='thumbnail'/><Relationship \
        Target='/3D/Main.model' Type='http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel'/></Relationships>";
    let main = model(
        "<object id='1'><components><component p:path='/3D/objects/A.model' objectid='7'/></components></object>",
        "<metadata name='a'>x</metadata><metadata name='a'>y &amp; z</metadata><item objectid='1'/>",
    );
    let other = model(&format!("<object id='7'>{TRIANGLE}</object>"), "");
    let decoy = model("", "");
    let bytes = package(&[
        ("3D/3dmodel.model", &decoy),
        ("_rels/.rels", relationships),
        ("3D/Main.model", &main),
        ("3D/Objects/a.model", &other),
    ]);
    assert_eq!(read_3mf(&bytes).unwrap().triangles.len(), 1);
}

#[test]
fn cycles_are_refused() {
    let around = "<object id='1'><components><component objectid='2'/></components></object>\
        <object id='2'><components><component objectid='1'/></components></object>";
    assert_eq!(refusal(around, "<item objectid='1'/>"), "3d/3dmodel.model: object 1 contains itself");
}

fn doubling(bottom: &str, levels: u32) -> String {
    let doubled = |id| {
        let half = format!("<component objectid='{}'/>", id - 1);
        format!("<object id='{id}'><components>{half}{half}</components></object>")
    };
    format!("<object id='1'>{bottom}</object>") + &(2..levels + 2).map(doubled).collect::<String>()
}

#[test]
fn exponential_expansion_is_refused_before_it_begins() {
    assert_eq!(read(&doubling(TRIANGLE, 10), "<item objectid='11'/>").unwrap().triangles.len(), 1024);
    for bottom in [TRIANGLE, ""] {
        let error = refusal(&doubling(bottom, 60), "<item objectid='61'/>");
        assert!(error.starts_with("not supported: scenes that make so much of so little"), "{error}");
    }
}

#[test]
fn deep_nesting_is_refused() {
    let nested =
        |id: u32| format!("<object id='{id}'><components><component objectid='{}'/></components></object>", id - 1);
    let resources = format!("<object id='1'>{TRIANGLE}</object>") + &(2..100_000).map(nested).collect::<String>();
    let error = refusal(&resources, "<item objectid='99999'/>");
    assert!(error.ends_with("is a component nested more than 64 deep"), "{error}");
}

#[test]
fn a_bomb_in_a_part_is_refused() {
    let spaces = " ".repeat(65 << 20);
    let bytes = package(&[("3D/3dmodel.model", &spaces)]);
    assert!(bytes.len() < 600_000);
    assert!(read_3mf(&bytes).unwrap_err().to_string().contains("unpack to more than"));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let whole = |xml: &str| read_3mf(&package(&[("3D/3dmodel.model", xml)])).unwrap_err().to_string();
    assert_eq!(
        whole("<!DOCTYPE model [<!ENTITY a 'b'>]><model/>"),
        "3d/3dmodel.model, byte 0: a document type declaration, which 3MF forbids"
    );
    assert_eq!(whole("<html/>"), "3d/3dmodel.model, file: no element `model`");
    assert!(whole("<model><resources></model>").starts_with("3d/3dmodel.model, byte 18: XML: "));
    assert_eq!(whole("<model><vertex x='1'/></model>"), "3d/3dmodel.model, byte 7: `vertex` outside an object");
    assert!(read_3mf(b"PK\x03\x04").unwrap_err().to_string().contains("not a ZIP archive"));
    assert_eq!(
        read_3mf(&package(&[("a.txt", "")])).unwrap_err().to_string(),
        "file: a ZIP archive without a 3MF model"
    );

    let object = format!("<object id='1'>{TRIANGLE}</object>");
    assert_eq!(refusal(&object, "<item objectid='2'/>"), "3d/3dmodel.model: object 2 is named, but is not there");
    assert_eq!(refusal(&object, "<item objectid='1' p:path='/x.model'/>"), "x.model: is named, but is not there");
    assert!(
        refusal(&object, "<item objectid='1' transform='1 2 3'/>")
            .ends_with("found `1 2 3` for transform, expected 12 numbers")
    );
    assert!(refusal(&object, "<item/>").ends_with("found nothing for objectid, expected a number"));
    assert!(refusal(&format!("{object}{object}"), "").ends_with("a second object 1"));
    let broken = object.replace("v3='2'", "v3='3'");
    assert!(refusal(&broken, "").ends_with("a triangle names vertex 3 of 3"), "{}", refusal(&broken, ""));
    assert!(refusal(&object.replace("x='1'", "x='1,0'"), "").ends_with("found `1,0` for x, expected a number"));
    let beams = "<object id='1'><mesh><vertices/><b:beamlattice/></mesh></object>";
    assert_eq!(refusal(beams, "<item objectid='1'/>"), "not supported: 3MF beam lattices");
}
