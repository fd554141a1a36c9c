//! Gives `libqed.so` its soname, which a link argument alone can do.

fn main() {
    // Before 1.0 every release that breaks the ABI is announced by the file name's minor version;
    // the soname counts from 0 and changes only when programs have to be built again.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libqed.so.0");
    println!("cargo:rerun-if-changed=build.rs");
}
