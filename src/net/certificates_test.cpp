#include "cloudlet/net/certificates.h"

#include "cloudlet/base/bytes.h"
#include "cloudlet/io/process.h"
#include "test_support.h"

namespace cloudlet::net {
namespace {

TEST(Certificates, ALeafSaysWhatWasAskedFor) {
    auto authority = must(make_authority("cloudlet-ca"));
    auto pair = must(issue(authority, {.common_name = "system:node:n1",
                                       .organizations = {"system:nodes", "a, b"},
                                       .dns_names = {"n1", "*.n1.local"},
                                       .ip_addresses = {"10.0.0.1", "fd00::1"},
                                       .days = 30,
                                       .server = true,
                                       .client = true}));
    auto facts = must(read_certificate(pair.cert_pem));
    EXPECT_EQ(facts.common_name, "system:node:n1");
    EXPECT_EQ(facts.organizations, (std::vector<std::string>{"system:nodes", "a, b"}));
    EXPECT_EQ(facts.dns_names, (std::vector<std::string>{"n1", "*.n1.local"}));
    EXPECT_EQ(facts.ip_addresses, (std::vector<std::string>{"10.0.0.1", "fd00::1"}));
    EXPECT_FALSE(facts.is_authority);
    auto now = system_clock().wall();
    EXPECT_GT(facts.not_after, now + std::chrono::hours(24 * 29));
    EXPECT_LT(facts.not_after, now + std::chrono::hours(24 * 31));
    EXPECT_LT(facts.not_before, now - std::chrono::minutes(59));
    EXPECT_TRUE(must(is_signed_by(pair.cert_pem, authority.cert_pem)));
    EXPECT_FALSE(must(is_signed_by(pair.cert_pem, must(make_authority("cloudlet-ca")).cert_pem)));
    EXPECT_TRUE(must(read_certificate(authority.cert_pem)).is_authority);
    EXPECT_NE(facts.serial, must(read_certificate(authority.cert_pem)).serial);
}

TEST(Certificates, OpensslAgreesWithTheChain) {
    auto folder = must(io::make_temporary_directory("/tmp/cloudlet-net-test-"));
    const auto& pki = TestPki::get();
    must(io::write_file_atomic(folder + "/ca", pki.authority.cert_pem));
    must(io::write_file_atomic(folder + "/cert", pki.server.cert_pem));
    auto output = io::run({"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile",
                           folder + "/ca", folder + "/cert"},
                          30s);
    must(io::remove_tree(folder));
    if (!output && output.error().code == Code::not_found)
        GTEST_SKIP() << "no openssl program here";
    EXPECT_TRUE(output->exit_status.ok()) << output->out << output->err;
}

TEST(Certificates, BadInputIsNamed) {
    EXPECT_EQ(read_certificate("no pem").error().code, Code::invalid);
    EXPECT_FALSE(issue({"no", "pem"}, {.common_name = "x"}));
    auto authority = must(make_authority("a"));
    auto wrong = issue(authority, {.common_name = "x", .ip_addresses = {"300.1.1.1"}});
    ASSERT_FALSE(wrong);
    EXPECT_THAT(wrong.error().message, testing::HasSubstr("300.1.1.1"));
    EXPECT_FALSE(issue({authority.cert_pem, must(make_key())}, {.common_name = "x"}));
    EXPECT_FALSE(TlsContext::server({authority.cert_pem, must(make_key()), ""}));
    EXPECT_FALSE(TlsContext::client({}));
}

TEST(Es256, SignsAndVerifiesWithEachFormOfTheKey) {
    auto key = must(make_key());
    auto signature = must(sign_es256(key, "header.payload"));
    EXPECT_EQ(signature.size(), 64u);
    auto public_key = must(public_key_of(key));
    EXPECT_TRUE(verify_es256(key, "header.payload", signature));
    EXPECT_TRUE(verify_es256(public_key, "header.payload", signature));
    EXPECT_FALSE(verify_es256(public_key, "header.payloae", signature));
    signature[10] = static_cast<char>(signature[10] ^ 1);
    EXPECT_FALSE(verify_es256(public_key, "header.payload", signature));
    EXPECT_FALSE(verify_es256(public_key, "header.payload", std::string(64, '\0')));
    EXPECT_FALSE(verify_es256(public_key, "header.payload", "short"));
    EXPECT_FALSE(verify_es256("no key", "header.payload", signature));
    EXPECT_FALSE(must(Es256Key::load(public_key))->sign("x"));
    const auto& pki = TestPki::get();
    EXPECT_TRUE(verify_es256(pki.client.cert_pem, "x", must(sign_es256(pki.client.key_pem, "x"))));
}

TEST(Es256, AcceptsTheExampleOfRfc7515) {
    // RFC 7515 appendix A.3: the key's coordinates, the signing input and the signature.
    std::string der = *from_hex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") +
                      *from_base64("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU") +
                      *from_base64("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    std::string pem =
        "-----BEGIN PUBLIC KEY-----\n" + to_base64(der) + "\n-----END PUBLIC KEY-----\n";
    pem.insert(27 + 64, "\n");
    auto signature = from_base64(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
    EXPECT_TRUE(verify_es256(
        pem,
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
        "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        *signature));
    EXPECT_EQ(to_base64url(must(public_point_of(pem)).x),
              "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
}

} // namespace
} // namespace cloudlet::net
