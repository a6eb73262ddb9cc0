//! Compared with `c-kzg`, over the portable kernel.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/c_kzg.rs"]
mod cases;

fn choose_kernel() {
    ashlar_kzg::use_kernel("portable").unwrap();
}
