//! `polyad import`: a published checkpoint as a model.
