//! Outlets and products.

use super::*;
use xundian_protocol::kinds::{Channel, OrgUnit, Outlet, OutletStatus, Product};

fn unit(code: &str) -> Option<RecordId> {
    Some(RecordId::derived(OrgUnit::SPEC.kind, code))
}

fn product(fixture: &Fixture, gtin: &str) -> Product {
    let id = Product::id_of(gtin.parse().unwrap());
    Product::read(&fixture.server.record(Product::key(id)).unwrap().unwrap())
}

#[test]
fn a_list_of_shops_becomes_outlets() {
    let fixture = Fixture::company();
    let text = "store_id,name,address,city,city_code,county_code,province_code,province,region,longitude,latitude,postal_code,open_time,close_time,features
1490-131667,北京银泰店,朝阳区建国门外大街2号,北京市,1101,110105,11,北京市,华北大区,116.459086,39.907636,100000,07:30:00,21:00:00,OG|DL
";
    let outcome = fixture.import(ImportKind::Outlets, text);
    assert_eq!(outcome.ignored_columns, ["province", "postal_code", "features"]);
    let outlet: Outlet = fixture.read("1490-131667");
    let expected = Outlet {
        code: Some("1490-131667".into()),
        name: Some("北京银泰店".into()),
        channel: Some(Channel::Other),
        address: Some("朝阳区建国门外大街2号".into()),
        division: Some("110105".into()),
        city: Some("北京市".into()),
        unit: unit("HB").map(xundian_protocol::ids::OrgUnitId),
        latitude_e7: Some(399_076_360),
        longitude_e7: Some(1_164_590_860),
        status: Some(OutletStatus::Active),
        open_hours: Some("07:30-21:00".into()),
        ..Default::default()
    };
    assert_eq!(outlet, expected);
}

#[test]
fn an_outlet_without_a_region_goes_by_its_division_or_to_none() {
    let fixture = Fixture::company();
    assert_eq!(fixture.read::<Outlet>("S2").unit, None);
    assert_eq!(fixture.read::<Outlet>("S3").unit.map(|unit| unit.0), unit("GAN_WAN"));
    assert_eq!(fixture.import(ImportKind::Outlets, OUTLETS).unassigned, 1);
}

#[test]
fn the_channel_is_the_row_s_then_the_command_s_then_other() {
    let fixture = Fixture::company();
    let text = "code,name,channel\nS1,a,大卖场\nS8,b,\n";
    let with = |channel| Request {
        kind: ImportKind::Outlets,
        bytes: text.as_bytes(),
        dry_run: false,
        skip_bad: false,
        channel,
    };
    let channels = || ["S1", "S8"].map(|code| fixture.read::<Outlet>(code).channel.unwrap());
    run(&fixture.server, &with(None), "test", NOW_MS).unwrap();
    assert_eq!(channels(), [Channel::Hypermarket, Channel::Other]);
    run(&fixture.server, &with(Some(Channel::Chain)), "test", NOW_MS).unwrap();
    assert_eq!(channels(), [Channel::Hypermarket, Channel::Chain]);
    run(&fixture.server, &with(None), "test", NOW_MS).unwrap();
    assert_eq!(channels(), [Channel::Hypermarket, Channel::Chain], "other is for new outlets alone");
}

#[test]
fn an_edit_of_the_file_changes_just_what_differs() {
    let fixture = Fixture::company();
    let outcome = fixture.import(ImportKind::Outlets, &OUTLETS.replace("银泰店", "银泰二店"));
    assert_eq!(counts(&outcome), [0, 1, 2]);
}

#[test]
fn outlets_faults_are_named() {
    let fixture = Fixture::company();
    let text = "code,name,unit,longitude,latitude,crs,city_code,province_code,geofence_m,time_zone,status
S1,a,东北大区,,,,,,,,
S2,b,,39.9,116.4,,,,,,
S3,c,,181,10.5,,,,,,
S4,d,,116.4,,,,,,,
S5,e,,0,0,,,,,,
S6,f,,1.1E+02,20,GCJ-02,,,,,
S7,g,,,,,1101,12,0,Mars/Base,开业
";
    assert_eq!(
        faults(&fixture.import(ImportKind::Outlets, text)),
        [
            (2, "unit", "no unit has this code or name"),
            (3, "latitude", "is not within -90 to 90 degrees: are longitude and latitude swapped?"),
            (4, "longitude", "is not within -180 to 180 degrees: are longitude and latitude swapped?"),
            (5, "latitude", "must not be empty where there is a longitude"),
            (6, "latitude", "0,0 is in the sea: leave both empty where the place is not known"),
            (7, "crs", "is not WGS-84: convert the positions first, the others are off by 100-700 m"),
            (
                7,
                "longitude",
                "is no plain decimal number: Excel wrote it in powers of ten; format the column as text"
            ),
            (8, "province_code", "does not contain 1101 of city_code"),
            (8, "geofence_m", "is not within 1 to 100000"),
            (8, "time_zone", "is no IANA zone such as Asia/Shanghai"),
            (8, "status", "is none of proposed 待确认, active 营业, closed 关闭"),
        ]
    );
}

#[test]
fn a_product_has_its_price_in_fen() {
    let fixture = Fixture::empty();
    let text = "gtin,name,category,spec,unit,retail_price_cny,sold_by,competitor,units_per_case
6901234567892,牛奶,食品,250ml,盒,\"¥1,234.5\",each,否,24
06901028075831,苹果,生鲜,,,2,weighed,,
";
    assert_eq!(counts(&fixture.import(ImportKind::Products, text)), [2, 0, 0]);
    let milk = product(&fixture, "6901234567892");
    assert_eq!((milk.retail_price_minor, milk.currency.as_deref()), (Some(123_450), Some("CNY")));
    assert_eq!((milk.pack.as_deref(), milk.sold_by.as_deref()), (Some("250ml"), Some("盒")));
    assert_eq!((milk.competitor, milk.units_per), (Some(false), [("case".to_owned(), 24)].into()));
    assert_eq!(product(&fixture, "6901028075831").sold_by.as_deref(), Some("weighed"));
    assert_eq!(counts(&fixture.import(ImportKind::Products, text)), [0, 0, 2]);
    let dearer = text.replace("1,234.5", "1,234.56").replace(",24\n", ",\n");
    assert_eq!(counts(&fixture.import(ImportKind::Products, &dearer)), [0, 1, 1]);
    assert!(product(&fixture, "6901234567892").units_per.is_empty());
}

#[test]
fn products_faults_are_named() {
    let fixture = Fixture::empty();
    let price = |price: &str| format!("6901234567892,a,{price}");
    let gtin = |gtin: &str| format!("{gtin},a,1");
    let reason = |row: String| {
        let outcome = fixture.import(ImportKind::Products, &format!("code,name,零售价\n{row}\n"));
        assert_eq!(outcome.bad.len(), 1, "{row}");
        outcome.bad[0].reason.clone()
    };
    assert_eq!(reason(price("0.125")), "has more than 2 digits after the point");
    assert_eq!(reason(price("-1")), "is below zero");
    assert_eq!(
        reason(price("\"12,5\"")),
        "is no plain decimal number: a comma stands where no thousands end"
    );
    assert_eq!(
        reason(gtin("6901234567893")),
        "is no GTIN: its check digit is 3, but the other digits ask for 2"
    );
    assert_eq!(reason(gtin("00242")), "is no GTIN-13: it has 5 digits");
    assert_eq!(reason(gtin("01000009")), "is a shop's own number of 8 digits, not a GTIN-13");
    assert_eq!(reason(gtin("695407549513")), "is no GTIN-13: it has 12 digits");
    assert_eq!(
        reason(gtin("16901683804699")),
        "is the GTIN-14 of a case or pallet: give the 13 digits of the item in it"
    );
    assert_eq!(reason(gtin("LB000001")), "is no GTIN: it may hold digits only");
    assert!(reason(gtin("6.90E+12")).contains("Excel has rounded it"));
    assert_eq!(reason(gtin("9787309062816")), "is no product's code: prefixes 978 and 979 are books (ISBN)");
    assert_eq!(
        reason(gtin("2013080115012")),
        "is no product's code: prefixes 02, 04 and 2 are for use inside a shop"
    );
    let twice = fixture.import(ImportKind::Products, "gtin,name\n6901234567892,a\n06901234567892,b\n");
    assert_eq!(faults(&twice), [(3, "gtin", "stands on line 2 already")]);
}
