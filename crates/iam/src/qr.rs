//! A text as a picture that a telephone reads.

use qrcode::{Color, EcLevel, QrCode};

/// Pixels of one module, and modules of white around the code (ISO/IEC 18004, 5.3.8).
const MODULE_PIXELS: usize = 5;
const QUIET_MODULES: usize = 4;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QrError {
    /// The text is too long for a code.
    #[error("the text does not fit a QR code")]
    Code(#[from] qrcode::types::QrError),
    /// The picture cannot be written.
    #[error("the QR code cannot be drawn")]
    Picture(#[from] png::EncodingError),
    /// The picture is larger than a PNG may be.
    #[error("the QR code is too large")]
    Size(#[from] std::num::TryFromIntError),
}

/// The QR code of `text`, as PNG.
///
/// # Errors
///
/// [`QrError`] for a text that no code holds (about two thousand bytes).
pub(crate) fn png(text: &str) -> Result<Vec<u8>, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let modules = code.width();
    let colors = code.to_colors();
    let side = (modules + 2 * QUIET_MODULES) * MODULE_PIXELS;
    let is_dark = |x: usize, y: usize| {
        let module = |at: usize| (at / MODULE_PIXELS).checked_sub(QUIET_MODULES);
        match (module(x), module(y)) {
            (Some(x), Some(y)) if x < modules && y < modules => colors[y * modules + x] == Color::Dark,
            _ => false,
        }
    };
    let pixels: Vec<u8> = (0..side * side)
        .map(|at| if is_dark(at % side, at / side) { 0 } else { 255 })
        .collect();
    let mut picture = Vec::new();
    let length = u32::try_from(side)?;
    let mut encoder = png::Encoder::new(&mut picture, length, length);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three corners of a code are there, and white around it.
    #[test]
    fn a_picture_shows_the_code() {
        let picture = png("otpauth://totp/bob@111122223333?secret=ABC").unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(picture));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![1; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.width, info.height);
        let side = usize::try_from(info.width).unwrap();
        let at = |x: usize, y: usize| pixels[y * side + x];
        let first = QUIET_MODULES * MODULE_PIXELS;
        let last = side - first - 1;
        assert_eq!(at(first - 1, first - 1), 255);
        for (x, y) in [(first, first), (last, first), (first, last)] {
            assert_eq!(at(x, y), 0);
        }
    }

    #[test]
    fn what_no_code_holds_is_an_error() {
        assert!(png(&"x".repeat(5_000)).is_err());
    }
}
