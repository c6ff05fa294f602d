//! The integration tests, in one binary so that everything is linked once.

mod tidy;
