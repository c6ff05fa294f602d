//! The demo's geography: its nine regions (DOMAIN S2.1) and the cities of `cities.csv`.

/// A region of the organisation.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) code: &'static str,
    pub(super) name_zh: &'static str,
    pub(super) name_en: &'static str,
    /// The prefix for names of people and areas of the region.
    pub(super) short_zh: &'static str,
    /// The first two digits of the GB/T 2260 codes of its provinces: an assignment, not geography (S2.2).
    pub(super) provinces: &'static [&'static str],
    /// A location in it, degrees × 10⁷; outlets are scattered around it.
    pub(super) centre_e7: (i64, i64),
}

/// The nine regions, in the order of the source.
pub(super) const REGIONS: [Region; 9] = [
    Region {
        code: "JIN_MENG",
        name_zh: "晋蒙特区",
        name_en: "Shanxi and Inner Mongolia",
        short_zh: "晋蒙",
        provinces: &["14", "15"],
        centre_e7: (393_000_000, 1_120_000_000),
    },
    Region {
        code: "ZHONG_NAN",
        name_zh: "中南大区",
        name_en: "Central South",
        short_zh: "中南",
        provinces: &["42", "43"],
        centre_e7: (294_000_000, 1_128_000_000),
    },
    Region {
        code: "XI_BEI",
        name_zh: "西北大区",
        name_en: "Northwest",
        short_zh: "西北",
        provinces: &["61", "62", "63", "64", "65"],
        centre_e7: (352_000_000, 1_063_000_000),
    },
    Region {
        code: "HUA_BEI",
        name_zh: "华北大区",
        name_en: "North China",
        short_zh: "华北",
        provinces: &["11", "12", "13"],
        centre_e7: (391_000_000, 1_161_000_000),
    },
    Region {
        code: "HUA_NAN",
        name_zh: "华南大区",
        name_en: "South China",
        short_zh: "华南",
        provinces: &["44", "45", "46"],
        centre_e7: (230_000_000, 1_112_000_000),
    },
    Region {
        code: "GAN_WAN",
        name_zh: "赣皖大区",
        name_en: "Jiangxi and Anhui",
        short_zh: "赣皖",
        provinces: &["34", "36"],
        centre_e7: (302_000_000, 1_167_000_000),
    },
    Region {
        code: "SHANGHAI",
        name_zh: "上海特区",
        name_en: "Shanghai",
        short_zh: "上海",
        provinces: &["31"],
        centre_e7: (311_500_000, 1_214_000_000),
    },
    Region {
        code: "LU_YU",
        name_zh: "鲁豫大区",
        name_en: "Shandong and Henan",
        short_zh: "鲁豫",
        provinces: &["37", "41"],
        centre_e7: (356_000_000, 1_155_000_000),
    },
    Region {
        code: "JIANG_ZHE",
        name_zh: "江浙大区",
        name_en: "Jiangsu and Zhejiang",
        short_zh: "江浙",
        provinces: &["32", "33"],
        centre_e7: (313_000_000, 1_199_000_000),
    },
];

impl Region {
    /// Whether it is a 特区.
    pub(super) fn is_special(&self) -> bool {
        self.name_zh.ends_with("特区")
    }

    /// Its cities.
    pub(super) fn cities(&self) -> Vec<City> {
        cities().filter(|(_, region)| *region == self.name_zh).map(|(city, _)| city).collect()
    }
}

/// A city: the first four digits of its GB/T 2260 code, and its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct City {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
}

/// Cities of provinces that no region names: their outlets belong to no region and are shown as such.
pub(super) const UNASSIGNED: [City; 8] = [
    City { code: "2101", name: "沈阳市" },
    City { code: "2102", name: "大连市" },
    City { code: "2201", name: "长春市" },
    City { code: "2301", name: "哈尔滨市" },
    City { code: "3501", name: "福州市" },
    City { code: "5101", name: "成都市" },
    City { code: "5201", name: "贵阳市" },
    City { code: "5301", name: "昆明市" },
];

/// The cities of `cities.csv`, each with the Chinese name of its region.
fn cities() -> impl Iterator<Item = (City, &'static str)> {
    // The columns are province_code, province, city_code, city, region; nothing in them is quoted.
    include_str!("cities.csv").lines().skip(1).filter_map(|line| {
        let mut columns = line.split(',').skip(2);
        let (code, name, region) = (columns.next()?, columns.next()?, columns.next()?);
        Some((City { code, name }, region))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_city_lies_in_a_province_of_its_region() {
        let mut known = 0;
        for region in &REGIONS {
            let cities = region.cities();
            assert!(!cities.is_empty(), "{}", region.name_zh);
            assert!(
                cities.iter().all(|city| region.provinces.contains(&&city.code[..2])),
                "{}",
                region.name_zh
            );
            known += cities.len();
        }
        assert_eq!(known, cities().count());
        assert!(
            UNASSIGNED
                .iter()
                .all(|city| REGIONS.iter().all(|region| !region.provinces.contains(&&city.code[..2])))
        );
    }
}
