//! Claim: a model that is in use holds one copy of its weights, and loading holds two at its peak: what was read, and what
//! the engine lays out. Counted by the allocator; the mapped file is not among it. One test, so that nothing else allocates.

use burn::tensor::Device;
use peak_alloc::PeakAlloc;
use polyad_shapes::model::{Definition, Header, Model};
use polyad_shapes::render::RenderSettings;
use polyad_shapes::vsformer::{BackboneKind, VsFormerConfig};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What everything beside the weights may take: headers, lists of names, plans.
const BESIDE: usize = 1 << 20;

#[test]
fn a_model_in_use_holds_one_copy_of_its_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.model");
    let architecture = VsFormerConfig::published(BackboneKind::ResNet18, None);
    let network = architecture.init(&Device::flex()).expect("a network");
    let header = Header::new(architecture, RenderSettings::default(), None);
    Definition::new(network, header).and_then(|model| model.save(&path)).expect("a file");
    // Stored in single precision, so the file is as large as the weights.
    let weights = std::fs::metadata(&path).expect("the file").len() as usize;

    // What is taken once, by whichever model is the first.
    drop(Model::builtin().expect("the built-in model"));
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let model = Model::load(&path).expect("a model");
    let (kept, peak) = (MEMORY.current_usage() - before, MEMORY.peak_usage() - before);
    assert!(kept <= weights + weights / 20 + BESIDE, "{kept} bytes are kept for {weights} of weights");
    assert!(peak <= 2 * weights + weights / 10 + BESIDE, "{peak} bytes at the peak for {weights} of weights");
    drop(model);
}
