//! Photo 照片: a picture of a shelf, a display or a problem.

use super::declare::Attachment;
use super::declare::{choice, kind};
use super::{Entity, FixGrade};
use crate::ids::{ContentHash, RecordId, VisitId};
use crate::limits::PHOTO_BYTES_MAX;
use crate::record::Record;

choice! {
    /// What a photo shows.
    PhotoSubject {
        /// 货架
        Shelf = 1, "shelf", "货架" / "Shelf";
        /// 堆头
        Display = 2, "display", "堆头" / "Display";
        /// 价签
        PriceLabel = 3, "price_label", "价签" / "Price label";
        /// 库存
        Stock = 4, "stock", "库存" / "Stock";
        /// 门头
        Storefront = 5, "storefront", "门头" / "Storefront";
        /// 问题
        Problem = 6, "problem", "问题" / "Problem";
        /// 其他
        Other = 7, "other", "其他" / "Other";
    }
}

choice! {
    /// Where a photo comes from. It decides how far the photo is evidence.
    PhotoSource {
        /// Taken by the app's own camera at that moment.
        InApp = 1, "in_app", "现场拍摄" / "Taken in the app";
        /// Chosen from the phone's gallery; it may be from another day or place.
        Chosen = 2, "chosen", "相册选择" / "Chosen from the gallery";
    }
}

choice! {
    /// The format of a picture.
    MediaType {
        /// image/jpeg
        Jpeg = 1, "image/jpeg", "JPEG 图片" / "JPEG picture";
        /// image/png
        Png = 2, "image/png", "PNG 图片" / "PNG picture";
        /// image/webp
        Webp = 3, "image/webp", "WebP 图片" / "WebP picture";
        /// image/heic
        Heic = 4, "image/heic", "HEIC 图片" / "HEIC picture";
    }
}

impl MediaType {
    /// The format of a picture, from its first bytes; `None` if it is unknown.
    pub fn of(picture: &[u8]) -> Option<Self> {
        match picture {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            // ISO/IEC 23008-12: a file type box of one of the HEVC brands.
            [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e', b'i' | b'v', b'c' | b'x', ..] => {
                Some(Self::Heic)
            }
            _ => None,
        }
    }
}

kind! {
    /// A photo of a visit or an issue. The record says what the photo shows and how far it is evidence. The picture is
    /// named by its hash and is transferred apart, after all records.
    Photo = 15, "photo", "照片" / "Photo";
    home Outlet; write_policy Event; writers [Merchandiser, Representative, Manager];
    attachments attachments;
    {
        /// The visit in which it was taken.
        visit: Option<VisitId> = 16, "拜访" / "Visit", None;
        /// The issue that it shows.
        issue: Option<RecordId> = 17, "急待解决问题" / "Issue", None;
        /// What it shows.
        subject: Option<PhotoSubject> = 18, "拍摄内容" / "Subject", None, required;
        /// The picture.
        content_hash: Option<ContentHash> = 19, "图片" / "Picture", None, required;
        /// The size of the picture.
        size_bytes: Option<i64> = 20, "大小" / "Size", Bytes, required;
        /// The format of the picture.
        media_type: Option<MediaType> = 21, "格式" / "Form", None, required;
        /// Where it comes from.
        source: Option<PhotoSource> = 22, "来源" / "Source", None, required;
        /// When it was taken, by the device's clock or by the picture's own metadata.
        taken_at_ms: Option<i64> = 23, "拍摄时间" / "Taken at", UnixMs;
        /// Where the device was, WGS-84.
        latitude_e7: Option<i64> = 24, "纬度" / "Latitude", DegreesE7;
        /// Where the device was, WGS-84.
        longitude_e7: Option<i64> = 25, "经度" / "Longitude", DegreesE7;
        /// The accuracy of that fix.
        accuracy_m: Option<i64> = 26, "定位精度" / "Accuracy", Metres;
        /// How reliable the fix is.
        position_grade: Option<FixGrade> = 27, "定位可信度" / "Position grade", None;
        /// Distance from the outlet's own position.
        distance_m: Option<i64> = 28, "距门店距离" / "Distance from outlet", Metres;
        /// A remark.
        note: Option<String> = 29, "备注" / "Note", None;
    }
}

fn attachments(record: &Record) -> Vec<Attachment> {
    let photo = Photo::read(record);
    let bytes = photo.size_bytes.and_then(|bytes| u64::try_from(bytes).ok());
    let (Some(hash), Some(bytes)) = (photo.content_hash, bytes) else { return Vec::new() };
    // A picture that is too large is never uploaded, so nothing must wait for it.
    if (1..=PHOTO_BYTES_MAX).contains(&bytes) { vec![Attachment { hash, bytes }] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_of_a_picture_give_its_format() {
        assert_eq!(MediaType::of(b"\xFF\xD8\xFF\xE0\0\x10JFIF"), Some(MediaType::Jpeg));
        assert_eq!(MediaType::of(b"\x89PNG\r\n\x1a\n"), Some(MediaType::Png));
        assert_eq!(MediaType::of(b"RIFF\x24\0\0\0WEBPVP8 "), Some(MediaType::Webp));
        assert_eq!(MediaType::of(b"\0\0\0\x18ftypheic"), Some(MediaType::Heic));
        assert_eq!(MediaType::of(b"GIF89a"), None);
        assert_eq!(MediaType::of(b""), None);
    }
}
