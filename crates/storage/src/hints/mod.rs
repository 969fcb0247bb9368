//! Hints: mutations kept for replicas that did not answer.
