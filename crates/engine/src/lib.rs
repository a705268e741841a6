//! The use cases of Patchwright over its ports
