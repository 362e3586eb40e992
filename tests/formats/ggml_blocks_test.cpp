// Quantized blocks: byte for byte the format's reference, whose outputs are given as digests and,
// for the first block of each type, in hex.
#include "formats/ggml_blocks.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "formats/ggml_test_rows.h"
#include "support/hash.h"

namespace dlm {
namespace {

constexpr int64_t kColumns = 1024;
constexpr int64_t kEdgeColumns = 2048;

std::vector<std::byte> quantize(GgmlType type, const std::vector<float>& x, int64_t columns,
                                const std::vector<float>& importance) {
  const int64_t row_bytes = ggml_row_bytes(type, columns);
  const int64_t rows = static_cast<int64_t>(x.size()) / columns;
  std::vector<std::byte> out(static_cast<size_t>(rows * row_bytes), std::byte{0xa5});
  for (int64_t r = 0; r < rows; ++r) {
    ggml_quantize_row(type, x.data() + r * columns, columns,
                      importance.empty() ? nullptr : importance.data(), out.data() + r * row_bytes);
  }
  return out;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    text += "0123456789abcdef"[static_cast<int>(b) >> 4];
    text += "0123456789abcdef"[static_cast<int>(b) & 15];
  }
  return text;
}

std::string digest(std::span<const float> x) {
  return sha256_hex(std::as_bytes(x));
}

struct Digests {
  GgmlType type;
  const char* plain;
  const char* weighted;
};

constexpr Digests kOfSmooth[] = {
    {GgmlType::kQ4_0, "74ae3d6dbfd6b944b840b3ae1a524f1db156a8ef095eaa3d83faa645444f3d18",
     "633b1ef23a5aae850cac53cdc5b9e3293cea2900d35391dde713f4224bfd96a5"},
    {GgmlType::kQ4_1, "ae82592e2182ff6430e07098db905e38af378496d16152a2337d483b6dcaa8ec",
     "f0b5b517d3e3e71daa11aa2b944b2f94029b1fa5179b9bab1144ca4396f10131"},
    {GgmlType::kQ5_0, "a942faa958265db16d53f2b6ffd12e3e5d7e7be26d96a8717a0ea4f39440b570",
     "cbceccbfa89c882489fcf29938a1cfd873c14499e2f12736cc278c06e52792c3"},
    {GgmlType::kQ5_1, "5b721f6ba1348d825c8b755a0e100ce48f43dd9222262215eeb531def7b36777",
     "d3f43ae186fb2e7c4f091b7f7b4d1c36921b04e0086ebc3ecce35e4699f097d1"},
    {GgmlType::kQ8_0, "3c70f06c9f4fffc6e7f8ee4d9ecac420b4e9c4dd88334be0c69e76bde030cc02",
     "3c70f06c9f4fffc6e7f8ee4d9ecac420b4e9c4dd88334be0c69e76bde030cc02"},
    {GgmlType::kQ4_K, "1bc4c075d1a968f7b72b9267f85c00c1207ce848ae821628f5bdf90d7454744b",
     "1d15240c29047d942000ea30398202b6a11c6d63fd53f6bf3fc64b037d1c46c9"},
    {GgmlType::kQ5_K, "6121478b4d64e096d82bb9eedd38df0255ac31466eb0e3917fe0062ee679b021",
     "ccfb10aaf6dcd91ca3b9e4775f9977d3714229195e9c077fb56f373e60a86459"},
    {GgmlType::kQ6_K, "170779a79b8d129f62a8f015b7219ab26a6cfe4dfb50278f356646c0f7e263e5",
     "7e2e9ad0c72348cdf905eb5ccb6d1e503b67eeaae8ef8211a21d77f719159950"},
    {GgmlType::kF16, "e37dbf36793b4864294e5485ad020bff27347d865baceebfad1590ed8e366a93", ""},
    {GgmlType::kBF16, "092409ee62ce98df20d018731a5c8c2cc33e990de389b67dd5a0fb203cce5caf", ""},
};

constexpr Digests kOfEdge[] = {
    {GgmlType::kQ4_0, "c9e852409cc9748c7a3061cdabfabe993a86ee669bb6be8958092d3cdc720d80",
     "536a13a5ae2e1d2c10728077b7df8014c185f8dda6260c131b7302c787469ba9"},
    {GgmlType::kQ4_1, "e16619f61c5602f782d837531b40aa57919fcdac7fdfa4d9cf2e90a75e189aa6",
     "ea64533699c894746aaedd26dabf1a8e916bbcaf56db0d3c28e4200c3c3f2239"},
    {GgmlType::kQ5_0, "6ecebb9fece53e338d9f75a36d2ac2a40c7fd010bd63509f65abb9fd1b34a4d6",
     "ea5f2a7b2534d10bbc59e2b575eb148b081c9dd0c65de5d89f4c2e5667810de5"},
    {GgmlType::kQ5_1, "0a89ea70b8707115a792e03dad29794736e3788e704bc9906f35d29dd7ea760c",
     "1929936c6e3a22baae8e2ae8bd25e1b11c60ccae5ba6a5d3f5b302e04ae0cfb3"},
    {GgmlType::kQ8_0, "7414629c5e18217308c4f777a50809f443aa79770adac87415b7ea753c98452f",
     "7414629c5e18217308c4f777a50809f443aa79770adac87415b7ea753c98452f"},
    {GgmlType::kQ4_K, "6f05cc6644910bd62b852ba2865dad99a71832a58a3ff55ab85a1bc5a66a0626",
     "da427d52e3b4335373cb62781db651c77ec2792b77b140cd7cb862500c58f76f"},
    {GgmlType::kQ5_K, "94f9cb0c0befbc9225efc0aaddbfdeef1a541fe9816a6de0d4b736a0dc578840",
     "25278209960e97f70d12f411b833cdc06a73041b32f0890947631ed70fb592ab"},
    {GgmlType::kQ6_K, "31aee68eb64f33b6744bbd0055c5b601e3d7988fb8fc902d48dfb3bb5f4d16f8",
     "0a3ed7ffa7fc018aa9b6974d3ecfcded05e7725631771089b093eb5030e57ca4"},
};

struct FirstBlock {
  GgmlType type;
  bool is_weighted;
  const char* hex;
};

constexpr FirstBlock kFirstBlocks[] = {
    {GgmlType::kQ4_0, false, "572dc58c64a9a049449736a973b6a987a952"},
    {GgmlType::kQ4_0, true, "342dc58c64a9a049349736a973b6a987a942"},
    {GgmlType::kQ4_1, false, "4f2c57b9f7af75dbc05b45b947cb84d7cca9cb63"},
    {GgmlType::kQ4_1, true, "292c67b9f7bf86dcc05c55c947db94e7dca9db63"},
    {GgmlType::kQ5_0, false, "57292a529b7a7b18c9423082782e6b41d75b430e4194"},
    {GgmlType::kQ5_0, true, "b5292a529b7a7b18c9423182882e7b31d75c420e4195"},
    {GgmlType::kQ5_1, false, "2c2857b9aa729b7eee6ffba780a79a728e9618bf985296c6"},
    {GgmlType::kQ5_1, true, "102855b9aa729f7efe6f0bb890a79a828fa629cfa852a7c6"},
    {GgmlType::kQ8_0, false,
     "611dd641c510810fbfefda08b6dc14ef0ca43b07e02218beb912b01deb2a1f011fc9"},
    {GgmlType::kQ4_K, false,
     "74157e21f1f9f5bfbfbcf5b92af96cdcf78fa64c703c956957ab84a79cc96b034ffb884d3ca535ac94ad"
     "790e7dbaed76d31c78707e7f7aa48148026617aa16c813e279b8596256aff9cb7a6b343579b130807786"
     "6ff4b56b1d4405216865848648418455e27110b753f986a99234347b64756bd3379a6786d779eac20e49"
     "c13ecc2d773d77d5b672d6f058491b98cbb5"},
    {GgmlType::kQ4_K, true,
     "67157721f1faf6bfbffcf6b9290c6cdcf78fa64c703c956957ab84a79cc96b034ffb884d3ca535ac84ad"
     "790e7dbaed76e31c78707e7f7aa48148026617aa16c813e279b8596256aff9cb7a6b343579b130807787"
     "6ff4b55b1d4406216865847648418455d27110a853ea86a99234347b64756bd3379a6786d779eac20e49"
     "c13ecc2d773d77d5b672d6f058491b98cbb5"},
    {GgmlType::kQ5_K, false,
     "58118021f3faf4bfbffcf5b74a0a68eb0aa746a154e526999847c282534fa16cd14be64d6582803f8ebf"
     "657561c3c798ee0f5b87e0772ac2ae46195f1882d6068ee50f8a784a69471849e10be974d9ecb729d0d0"
     "dedfe558017004cc2e442c7116c5d261a2c5ac4ff387e5c6695ae3626100ff1ecff87bb72b880c52c1db"
     "090d919319bbc4f32160a7e40c42347979e6c90bc8b77036ce0ecff4d6a40f93937fa95b007cf0ca8ef4"
     "cef0a1943841a87a"},
    {GgmlType::kQ5_K, true,
     "8c117021eff6f3bfbffdf5b8481878ea0a2746a114e526999047c282534fa16cd14b274d6582803f8ebf"
     "657561c3c798fe0f6b88e0773ac2af46296f2892d7069ff6008b795a6958284af20cfa75eaeca628d0d0"
     "ddded548f17004cb2e332c6116b4d150a1b5ac3ee376d5b56959e3516100fe1ecff87bc72b880b52c1db"
     "190d919319bbc4f32160a7e40c42347979e6c9fbc7b77f35ce0dbfe4d5940e92837e984bff7be0ba7ee4"
     "bdf0a0933741a76a"},
    {GgmlType::kQ6_K, false,
     "d5f0f11480a4801c36f29d77b56c7319a763340d3a7664d761cba8b00c106c0ab85ee7dfdaedf1d73315"
     "10b761bc6831a0682d2f8e569b5500e51b51fb1a052aeeaffa2b10433f4d16733e8d06afc20c3e73038d"
     "1f53d792c8072a8bff3302417edc7e19e2317fe426ba59e01312cbec294ac9a6a45dd7a058d00be3065d"
     "2ebfcd27594274726995855a08591aa916e0c70ea562a288907a282aa5a396daae446a6645f528926168"
     "ec5addbe0959b605f83b663962d79f45dac0652426aafa946b456b6a5e52639280b4959fa65f5243630a"},
    {GgmlType::kQ6_K, true,
     "c500f10490b4900c26f28d67b56c7319a773240d2a8664c751cb98b00c105c1ab95ee7dedaecf1d63215"
     "10b761bd6830a0682d2f8e569b5500e51b51fb1a0629eeaffa2b11433f5d17733e8c06afc20c3d74038d"
     "1054d891c8062a8af03303407edc7e19e2317fe426ba59e01312cbec294ac9a6a45dd7a058d00be3065d"
     "2ebfcd37594274726995855a08591aa916e0c70ea562a288907a282aa5a396daae446a6645f528926168"
     "ec5addbe0959b605f83b663963d79f45dac0652427aafa94684363665852609580ba98a2a95c5041950a"},
};

TEST(GgmlBlocks, InputsOfTheVectorsAreTheOnesTheyWereMadeFrom) {
  EXPECT_EQ(digest(smooth_rows(42, 8 * kColumns)),
            "b055338d710f1b9f412bb532320b3c7f24843ddee9397b3c26836c69d202270f");
  EXPECT_EQ(digest(importance_row(7, kColumns)),
            "880f531dec012074dd858489782050bc042c22186086ce8b1adc91b8bc06990b");
  EXPECT_EQ(digest(edge_row()), "af454ae781add59a2f4e79b9314a2d2b5cc0f2b88df9878d4f12587e898d33b8");
}

TEST(GgmlBlocks, SmoothRowsEqualTheReference) {
  const std::vector<float> x = smooth_rows(42, 8 * kColumns);
  const std::vector<float> w = importance_row(7, kColumns);
  for (const Digests& expected : kOfSmooth) {
    SCOPED_TRACE(ggml_traits(expected.type).name);
    EXPECT_EQ(sha256_hex(quantize(expected.type, x, kColumns, {})), expected.plain);
    if (*expected.weighted != 0) {
      EXPECT_EQ(sha256_hex(quantize(expected.type, x, kColumns, w)), expected.weighted);
    }
  }
}

TEST(GgmlBlocks, EdgeCasesEqualTheReference) {
  const std::vector<float> x = edge_row();
  const std::vector<float> ones(kEdgeColumns, 1.0f);
  for (const Digests& expected : kOfEdge) {
    SCOPED_TRACE(ggml_traits(expected.type).name);
    EXPECT_EQ(sha256_hex(quantize(expected.type, x, kEdgeColumns, {})), expected.plain);
    EXPECT_EQ(sha256_hex(quantize(expected.type, x, kEdgeColumns, ones)), expected.weighted);
  }
}

TEST(GgmlBlocks, FirstBlocksEqualTheReferenceByteForByte) {
  const std::vector<float> x = smooth_rows(42, 8 * kColumns);
  const std::vector<float> w = importance_row(7, kColumns);
  for (const FirstBlock& expected : kFirstBlocks) {
    const std::vector<std::byte> bytes =
        quantize(expected.type, x, kColumns, expected.is_weighted ? w : std::vector<float>{});
    const size_t size = static_cast<size_t>(ggml_traits(expected.type).block_bytes);
    EXPECT_EQ(hex(std::span(bytes).first(size)), expected.hex)
        << ggml_traits(expected.type).name << (expected.is_weighted ? " weighted" : "");
  }
}

TEST(GgmlBlocks, ZerosAreStoredAsTheReferenceStoresThem) {
  const std::vector<float> zeros(256, 0.0f);
  const std::vector<float> ones(256, 1.0f);
  for (const GgmlType type : {GgmlType::kQ8_0, GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K}) {
    for (const std::byte b : quantize(type, zeros, 256, {})) EXPECT_EQ(b, std::byte{0});
  }
  EXPECT_EQ(hex(quantize(GgmlType::kQ4_0, zeros, 256, {})).substr(0, 8), "00808888");
  EXPECT_EQ(hex(quantize(GgmlType::kQ5_0, zeros, 256, {})).substr(0, 16), "0080ffffffff0000");
  EXPECT_EQ(hex(quantize(GgmlType::kQ4_0, zeros, 256, ones)).substr(0, 8), "00000000");
}

TEST(GgmlBlocks, NumbersTooSmallForAReciprocalGiveZeroCodesNotWildOnes) {
  const std::vector<float> x(256, 1e-39f);
  for (const Digests& expected : kOfEdge) {
    std::vector<float> back(256, 1.0f);
    const std::vector<std::byte> bytes = quantize(expected.type, x, 256, {});
    EXPECT_TRUE(ggml_row_is_finite(expected.type, bytes.data(), 256));
    ggml_dequantize_row(expected.type, bytes.data(), 256, back.data());
    for (const float v : back) EXPECT_EQ(v, 0.0f) << ggml_traits(expected.type).name;
  }
}

// Root mean square of the errors over that of the numbers, for numbers of a bell-like spread. The
// bounds are twice what each type leaves on them.
TEST(GgmlBlocks, DecodingGivesTheNumbersBackWithinTheTypesError) {
  const std::vector<float> x = smooth_rows(3, kColumns);
  const struct {
    GgmlType type;
    double most;
  } bounds[] = {
      {GgmlType::kF32, 0},     {GgmlType::kF16, 4e-4},  {GgmlType::kBF16, 4e-3},
      {GgmlType::kQ8_0, 0.01}, {GgmlType::kQ6_K, 0.03}, {GgmlType::kQ5_K, 0.06},
      {GgmlType::kQ5_1, 0.06}, {GgmlType::kQ5_0, 0.08}, {GgmlType::kQ4_K, 0.12},
      {GgmlType::kQ4_1, 0.12}, {GgmlType::kQ4_0, 0.16},
  };
  double last = -1;
  for (const auto& bound : bounds) {
    const std::vector<std::byte> bytes = quantize(bound.type, x, kColumns, {});
    EXPECT_TRUE(ggml_row_is_finite(bound.type, bytes.data(), kColumns));
    std::vector<float> back(x.size());
    ggml_dequantize_row(bound.type, bytes.data(), kColumns, back.data());
    double error = 0, size = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      error += (back[i] - x[i]) * (back[i] - x[i]);
      size += x[i] * x[i];
    }
    const double relative = std::sqrt(error / size);
    EXPECT_LE(relative, bound.most) << ggml_traits(bound.type).name;
    EXPECT_GE(relative, bound.most / 5) << ggml_traits(bound.type).name;
    last = relative;
  }
  EXPECT_GT(last, 0.05);
}

// A ramp has each number only a little above the last: a code read from another's place shows.
TEST(GgmlBlocks, DecodesARampInOrder) {
  const std::vector<float> edge = edge_row();
  const std::vector<float> ramp(edge.begin() + 4 * 256, edge.begin() + 5 * 256);
  std::vector<float> back(256);
  for (const GgmlType type : {GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K}) {
    const std::vector<std::byte> bytes = quantize(type, ramp, 256, {});
    ggml_dequantize_row(type, bytes.data(), 256, back.data());
    for (int i = 0; i < 256; ++i) EXPECT_NEAR(back[i], ramp[i], 0.035) << i;
  }
}

TEST(GgmlBlocks, DecodesEveryFieldOfAHandMadeBlock) {
  std::vector<std::byte> q5(24);
  const uint16_t two = 0x4000, three = 0x4200;
  std::memcpy(q5.data(), &two, 2);
  std::memcpy(q5.data() + 2, &three, 2);
  q5[4] = std::byte{0x01};       // fifth bit of element 0
  q5[7] = std::byte{0x80};       // and of element 31
  q5[8] = std::byte{0x21};       // element 0: 1, element 16: 2
  q5[8 + 15] = std::byte{0xf0};  // element 15: 0, element 31: 15
  std::vector<float> y(32);
  ggml_dequantize_row(GgmlType::kQ5_1, q5.data(), 32, y.data());
  EXPECT_EQ(y[0], 2 * 17 + 3);
  EXPECT_EQ(y[16], 2 * 2 + 3);
  EXPECT_EQ(y[15], 3);
  EXPECT_EQ(y[31], 2 * 31 + 3);
}

TEST(GgmlBlocks, NamesScalesThatAreNotFinite) {
  for (const Digests& expected : kOfEdge) {
    SCOPED_TRACE(ggml_traits(expected.type).name);
    std::vector<float> x(512, 1.0f);
    x[300] = 1e12f;
    const std::vector<std::byte> bytes = quantize(expected.type, x, 512, {});
    EXPECT_FALSE(ggml_row_is_finite(expected.type, bytes.data(), 512));
    EXPECT_TRUE(ggml_row_is_finite(expected.type, bytes.data(), 256));
  }
  const float inf = std::numeric_limits<float>::infinity();
  for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16}) {
    EXPECT_FALSE(ggml_row_is_finite(type, quantize(type, {1, inf}, 2, {}).data(), 2));
    EXPECT_FALSE(ggml_row_is_finite(type, quantize(type, {1, NAN}, 2, {}).data(), 2));
    EXPECT_TRUE(ggml_row_is_finite(type, quantize(type, {1, 60000}, 2, {}).data(), 2));
  }
}

TEST(GgmlBlocks, HalvesRoundToEvenAndKeepSubnormals) {
  const struct {
    float value;
    const char* bytes;  // as they lie in the file
  } cases[] = {
      {1.0f, "003c"},           {-2.0f, "00c0"},         {65504.0f, "ff7b"},
      {65519.0f, "ff7b"},       {65520.0f, "007c"},      {-1e9f, "00fc"},
      {5.9604645e-8f, "0100"},  {2.9802322e-8f, "0000"}, {2.9802326e-8f, "0100"},
      {6.1035156e-5f, "0004"},  {6.0975552e-5f, "ff03"}, {1.00048828125f, "003c"},
      {1.00146484375f, "023c"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(hex(quantize(GgmlType::kF16, {c.value}, 1, {})), c.bytes) << c.value;
  }
}

}  // namespace
}  // namespace dlm
