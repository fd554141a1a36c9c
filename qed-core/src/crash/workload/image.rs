//! An empty QED image, from the clauses of the format (F4) and nothing else.

use super::to_usize;

/// Header, then an L1 table of zeroes. With feature bit 1 it names a backing file `base`.
#[must_use]
pub fn empty_image(cluster: u64, table: u64, size: u64, features: u64) -> Vec<u8> {
    let mut bytes = vec![0; to_usize(cluster * (1 + table))];
    let mut put = |offset: usize, field: &[u8]| {
        bytes[offset..offset + field.len()].copy_from_slice(field);
    };
    put(0, b"QED\0");
    put(4, &cluster.to_le_bytes()[..4]);
    put(8, &table.to_le_bytes()[..4]);
    put(12, &1_u32.to_le_bytes());
    put(16, &features.to_le_bytes());
    put(40, &cluster.to_le_bytes());
    put(48, &size.to_le_bytes());
    if features & 1 != 0 {
        put(56, &64_u32.to_le_bytes());
        put(60, &4_u32.to_le_bytes());
        put(64, b"base");
    }
    bytes
}
