//! Functions that are the same after all generics are filled in are linked once. GNU's linker cannot do that; it is not the one that
//! Rust has taken by itself on this target since 1.90.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|found| found == value);
    if is("TARGET", "x86_64-unknown-linux-gnu") && is("PROFILE", "release") {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=safe");
    }
}
