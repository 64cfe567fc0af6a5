//! Helpers of tests and benchmarks; nothing here is part of the product.
