//! A simulated system store.
