//! CRC-32C (Castagnoli, RFC 3720 appendix B.4) of a few bytes.
//!
//! It guards the lengths in frame headers and the fixed blocks of headers and
//! heads; records themselves are guarded by the hash chain. The inputs are
//! short, so a table is fast enough and a dependency is not worth it.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut index = 0usize;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            // 0x82F6_3B78 is the polynomial 0x1EDC_6F41, bits reversed.
            value = if value & 1 == 1 {
                (value >> 1) ^ 0x82F6_3B78
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (sum >> 8) ^ TABLE[usize::from((sum as u8) ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// The vectors of RFC 3720, appendix B.4.
    #[test]
    fn matches_the_published_vectors() {
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&ascending), 0x46DD_794E);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }
}
