use super::*;

/// Keys in hexadecimal with the tokens that Apache Cassandra's own driver computes for them.
const VECTORS: &[(&str, i64)] = &[
    ("61", -8_839_064_797_231_613_815),
    ("68656c6c6f", -3_758_069_500_696_749_310),
    ("00000080", -9_081_975_895_656_599_623),
    ("ffffffff", 7_297_452_126_230_313_552),
    ("fffffffffffffffe", -1_469_196_152_397_050_732),
    ("0000000000000001", 6_292_367_497_774_912_474),
    ("ffffffffffffffffffffffffffffff", -2_195_530_867_418_009_455),
    ("ffffffffffffffffffffffffffffffff", -2_824_192_546_314_762_522),
    ("ffffffffffffffffffffffffffffffffff", -4_128_212_798_341_382_003),
    ("80808080808080808080808080808080808080808080808080808080808080", 2_158_224_688_659_817_168),
    ("808080808080808080808080808080808080808080808080808080808080808080", 8_320_964_553_149_094_587),
    ("68c3a96c6c6f2077c3b6726c64", 2_840_380_605_349_454_238),
    ("d0bad0bbd18ed187", 1_182_936_647_932_017_555),
    ("00034a464b000007323031332d303100", 5_472_268_228_790_023_532),
    (
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
        2_060_892_794_568_774_329,
    ),
    ("00", 5_048_724_184_180_415_669),
    ("30313233343536373839616263646566", 5_467_490_433_528_156_583),
    ("3031323334353637383961626364656667", -8_200_385_122_730_116_642),
    ("82b70eee7f1a50", 7_388_563_470_567_982_701),
    ("39bef07ec2347f06", -5_882_464_163_309_573_427),
    ("6ed08f5dc7512447e3", -5_131_455_390_377_505_663),
    ("404300026b6e545594a065685d64c4980bb8d4544a8721", 5_056_441_430_996_451_277),
    ("a99a01ad219eb59cf6a15ef6f15a1d830bb7ce09d6bbc004", -1_542_253_708_899_440_482),
    ("e7175c643c7decb0b580ec37bc9712dd2e6aaeb94bae8d2f9f", -3_522_264_948_824_621_731),
    ("a29c5a284c9ef7521829cf1079b080e9d74a1c10fcab6a4243d33656debe4c1ed79648e856e8f9a2", 5_501_521_272_691_077_225),
    (
        "f58c95f0ce4b39c15bffad5c2dfb8bb820b6119cba8ff88796ae5b05f280a68ced93b6b28cb0d1b358e6baab485565b9f49028d557d79a8a0e6451e15c705c15",
        -5_869_959_967_106_558_529,
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn tokens_are_those_that_drivers_compute() {
    for (key, expected) in VECTORS {
        assert_eq!(token(&bytes(key)), Token(*expected), "key 0x{key}");
    }
    assert_eq!(token(&128i32.to_be_bytes()), Token(-9_081_975_895_656_599_623));
}

#[test]
fn the_empty_key_has_the_smallest_token() {
    assert_eq!(token(b""), Token::MIN);
}

fn published_hash(key: &[u8]) -> i64 {
    murmur3::murmur3_x64_128(&mut std::io::Cursor::new(key), 0).unwrap() as u64 as i64
}

proptest::proptest! {
    #[test]
    fn keys_without_a_high_bit_in_the_tail_hash_as_published(mut key in proptest::collection::vec(0u8..=255, 1..80)) {
        let whole = key.len() / 16 * 16;
        for byte in &mut key[whole..] {
            *byte &= 0x7f;
        }
        proptest::prop_assert_eq!(token(&key), Token(published_hash(&key)));
    }
}
