//! Multimodal fusion: two signals, such as a question and an image, become one.
