//! The series: the products on the shelf of each store in each week, mapped to outlets and products.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use xundian_protocol::calendar::Day;
use xundian_protocol::kinds::Gtin;

use super::ReplayError;

/// The number of stores in the public series; `truth.py` has the same constant.
const SERIES_STORES: usize = 67;
/// The GTIN body of the sample's first product. 690 is a prefix of GS1 China.
const SAMPLE_GTIN_BODY: u64 = 690_000_000_000;
/// The region of outlets without one, in the truth and in the public outlets.
pub(super) const UNASSIGNED: &str = "unassigned";

/// The files of a series.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file of the series.
    pub series: PathBuf,
    /// The files of the outlets and the products to map it to; `None` for the sample, which needs none.
    pub public: Option<(PathBuf, PathBuf)>,
}

impl Source {
    /// Returns the public series beside the workspace, or the committed sample if that is absent.
    pub fn find() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let data = here.join("../../shared/data");
        let series = data.join("series/vn2_weekly_sales_instock.csv");
        let stores = data.join("stores/stores_china.csv");
        let products = data.join("products/products_cn_gtin13.csv");
        if [&series, &stores, &products].into_iter().all(|path| path.is_file()) {
            return Self { series, public: Some((stores, products)) };
        }
        Self::sample()
    }

    /// Returns the committed sample.
    pub fn sample() -> Self {
        let series = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/synthetic_sample.csv");
        Self { series, public: None }
    }

    /// Whether it is the sample.
    pub fn is_sample(&self) -> bool {
        self.public.is_none()
    }
}

/// A store of the series and the outlet that it is mapped to.
#[derive(Clone, Debug)]
pub(super) struct Shop {
    pub(super) code: String,
    pub(super) name: String,
    /// The region's name; `None` for an outlet without a region.
    pub(super) region: Option<String>,
    /// For each week, the products and whether each was on the shelf.
    pub(super) weeks: BTreeMap<Day, Vec<(usize, bool)>>,
}

/// A series mapped to outlets and products.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) shops: Vec<Shop>,
    /// The GTIN of each product in the series.
    pub(super) gtins: BTreeMap<usize, Gtin>,
    /// The name of each product in the truth.
    pub(super) labels: BTreeMap<Gtin, String>,
    pub(super) rows: usize,
}

impl Series {
    pub(super) fn read(source: &Source) -> Result<Self, ReplayError> {
        let mut weeks: BTreeMap<usize, BTreeMap<Day, Vec<(usize, bool)>>> = BTreeMap::new();
        let mut rows = 0;
        let mut reader = csv::Reader::from_path(&source.series)?;
        for row in reader.deserialize() {
            let row: Row = row?;
            let week: Day = row.week_start.parse()?;
            weeks
                .entry(row.store)
                .or_default()
                .entry(week)
                .or_default()
                .push((row.product, row.in_stock == 1));
            rows += 1;
        }
        let used: BTreeSet<usize> =
            weeks.values().flat_map(BTreeMap::values).flatten().map(|line| line.0).collect();
        let stores = weeks.last_key_value().map_or(0, |(last, _)| last + 1);
        let (places, gtins) = match &source.public {
            Some((stores, products)) => (public_places(stores)?, public_gtins(products, &used)?),
            None => (sample_places(stores), sample_gtins(&used)?),
        };
        let label = |(product, gtin): (&usize, &Gtin)| {
            (*gtin, if source.is_sample() { format!("{product:014}") } else { gtin.to_string() })
        };
        let labels = gtins.iter().map(label).collect();
        let mut shops = Vec::new();
        for (store, weeks) in weeks {
            let place = places.get(store).ok_or_else(|| ReplayError::Mapping(format!("store {store}")))?;
            shops.push(Shop { weeks, ..place.clone() });
        }
        Ok(Self { shops, gtins, labels, rows })
    }

    /// Returns all weeks.
    pub(super) fn weeks(&self) -> BTreeSet<Day> {
        self.shops.iter().flat_map(|shop| shop.weeks.keys().copied()).collect()
    }

    /// Returns the names of all regions.
    pub(super) fn regions(&self) -> BTreeSet<&str> {
        self.shops.iter().filter_map(|shop| shop.region.as_deref()).collect()
    }

    /// Returns the number of visits: one per store and week.
    pub(super) fn visits(&self) -> usize {
        self.shops.iter().map(|shop| shop.weeks.len()).sum()
    }
}

#[derive(serde::Deserialize)]
struct Row {
    week_start: String,
    store: usize,
    product: usize,
    in_stock: u8,
}

#[derive(serde::Deserialize)]
struct PublicStore {
    store_id: String,
    name: String,
    province_code: String,
    region: String,
}

#[derive(serde::Deserialize)]
struct PublicProduct {
    gtin: String,
}

/// Maps store s to the outlet at index ⌊s · N / 67⌋ of all N, sorted by (province_code, store_id) as text.
fn public_places(path: &Path) -> Result<Vec<Shop>, ReplayError> {
    let mut reader = csv::Reader::from_path(path)?;
    let mut stores: Vec<PublicStore> = reader.deserialize().collect::<Result<_, _>>()?;
    stores.sort_by(|a, b| (&a.province_code, &a.store_id).cmp(&(&b.province_code, &b.store_id)));
    if stores.len() < SERIES_STORES {
        return Err(ReplayError::Mapping(format!("67 stores but only {} outlets", stores.len())));
    }
    let place = |store: usize| {
        let outlet = &stores[store * stores.len() / SERIES_STORES];
        Shop {
            code: outlet.store_id.clone(),
            name: outlet.name.clone(),
            region: Some(outlet.region.clone()).filter(|region| region != UNASSIGNED),
            weeks: BTreeMap::new(),
        }
    };
    Ok((0..SERIES_STORES).map(place).collect())
}

/// Maps product p to the row at index p of the products sorted by GTIN as text.
fn public_gtins(path: &Path, used: &BTreeSet<usize>) -> Result<BTreeMap<usize, Gtin>, ReplayError> {
    let mut reader = csv::Reader::from_path(path)?;
    let mut texts = Vec::new();
    for product in reader.deserialize() {
        let product: PublicProduct = product?;
        texts.push(product.gtin);
    }
    texts.sort_unstable();
    let gtin = |product: &usize| {
        let text = texts.get(*product).ok_or_else(|| ReplayError::Mapping(format!("product {product}")))?;
        Ok((*product, text.parse()?))
    };
    used.iter().map(gtin).collect()
}

fn sample_places(stores: usize) -> Vec<Shop> {
    let place = |store| Shop {
        code: format!("SAMPLE-{store:02}"),
        name: format!("样店{store}"),
        region: None,
        weeks: BTreeMap::new(),
    };
    (0..stores).map(place).collect()
}

fn sample_gtins(used: &BTreeSet<usize>) -> Result<BTreeMap<usize, Gtin>, ReplayError> {
    used.iter()
        .map(|product| Ok((*product, Gtin::with_check_digit(SAMPLE_GTIN_BODY + *product as u64)?)))
        .collect()
}
