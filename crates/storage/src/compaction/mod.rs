//! Part of the engine.
