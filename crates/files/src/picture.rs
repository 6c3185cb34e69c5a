//! Pictures, made smaller.

use std::io::{Cursor, Write as _};
use std::path::Path;

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

/// Pictures of more pixels are not decoded: a small file can unfold to any size.
const PIXELS: u64 = 50_000_000;
/// What decoding may take, in bytes.
const MEMORY: u64 = 400 << 20;

/// Why there is no smaller form of a picture.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is no picture, broken, or too large to be decoded.
    #[error("the file is no picture that can be scaled")]
    NoPicture,
    /// The disk fails.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY);
    limits
}

fn reader(path: &Path) -> Result<ImageReader<std::io::BufReader<std::fs::File>>, Unfit> {
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    reader.limits(limits());
    Ok(reader)
}

/// Width and height, read from the picture's head, as it is to be shown. Blocks.
pub(crate) fn size(path: &Path) -> Option<(u32, u32)> {
    let decoder = reader(path).ok()?.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    Some((width, height))
}

/// The picture at `path`, brought to `width` where it is wider. Blocks.
pub(crate) fn scaled(path: &Path, width: u32) -> Result<(Vec<u8>, &'static str), Unfit> {
    let reader = reader(path)?;
    let format = reader.format().ok_or(Unfit::NoPicture)?;
    let mut decoder = reader.into_decoder().map_err(|_| Unfit::NoPicture)?;
    let (wide, high) = decoder.dimensions();
    if u64::from(wide) * u64::from(high) > PIXELS {
        return Err(Unfit::NoPicture);
    }
    let turned = decoder.orientation().ok();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|_| Unfit::NoPicture)?;
    if let Some(turned) = turned {
        picture.apply_orientation(turned);
    }
    if picture.width() > width {
        picture = picture.thumbnail(width, u32::MAX);
    }
    let mut out = Cursor::new(Vec::new());
    let kind = if format == ImageFormat::Jpeg {
        let rgb = DynamicImage::ImageRgb8(picture.into_rgb8());
        rgb.write_to(&mut out, ImageFormat::Jpeg).map_err(|_| Unfit::NoPicture)?;
        "image/jpeg"
    } else {
        let rgba = DynamicImage::ImageRgba8(picture.into_rgba8());
        rgba.write_to(&mut out, ImageFormat::Png).map_err(|_| Unfit::NoPicture)?;
        "image/png"
    };
    out.flush()?;
    Ok((out.into_inner(), kind))
}

#[cfg(test)]
mod tests {
    use image::RgbaImage;

    use super::*;

    fn stored(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        let picture = DynamicImage::ImageRgba8(RgbaImage::new(width, height));
        DynamicImage::ImageRgb8(picture.into_rgb8()).write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    #[test]
    fn wide_pictures_are_made_narrower_and_small_ones_left() {
        let check = |width, height, format, expected: (u32, u32), kind: &str| {
            let file = stored(&picture(width, height, format));
            assert_eq!(size(file.path()), Some((width, height)));
            let (small, found) = scaled(file.path(), 250).unwrap();
            assert_eq!(found, kind);
            let small = stored(&small);
            assert_eq!(size(small.path()), Some(expected));
        };
        check(1000, 500, ImageFormat::Png, (250, 125), "image/png");
        check(1000, 500, ImageFormat::Jpeg, (250, 125), "image/jpeg");
        check(500, 1000, ImageFormat::Gif, (250, 500), "image/png");
        check(20, 10, ImageFormat::Bmp, (20, 10), "image/png");
    }

    #[test]
    fn bombs_and_strangers_are_no_pictures() {
        // A PNG whose head claims 60,000 × 60,000 pixels.
        let mut bomb = picture(1, 1, ImageFormat::Png);
        bomb.splice(16..24, [0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        for bytes in [bomb, b"\x89PNG\r\n\x1a\nnot really".to_vec(), b"words".to_vec(), Vec::new()]
        {
            let file = stored(&bytes);
            assert!(matches!(scaled(file.path(), 250), Err(Unfit::NoPicture)));
        }
    }
}
