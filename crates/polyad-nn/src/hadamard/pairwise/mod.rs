//! Efficient pairwise operators: relatives of attention that never hold a score for each pair of tokens.
