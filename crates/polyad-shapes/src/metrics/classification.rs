//! Confusion matrix and accuracies.
