//! Compared with `c-kzg`, over the kernel for AVX-512 IFMA: in vectors where the processor has them, in plain Rust elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/c_kzg.rs"]
mod cases;

fn choose_kernel() {
    let name = match ashlar_kzg::kernels().contains(&"ifma") {
        true => "ifma",
        false => "ifma-emulated",
    };
    ashlar_kzg::use_kernel(name).unwrap();
}
