#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "quern/core/error.hpp"
#include "quern/http/event_stream.hpp"
#include "quern/http/server.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/raw_http.hpp"
#include "support/temp_folder.hpp"

using namespace quern::http;
using namespace std::chrono_literals;
using quern_test::eventually;
using quern_test::get_request;
using quern_test::post_request;
using quern_test::RawAnswer;
using quern_test::RawHttp;
using quern_test::TempFolder;

namespace {

void require(bool done) {
  if (!done) throw std::runtime_error("OpenSSL refuses");
}

/// A key with a certificate that is signed by itself, or by another one.
struct Identity {
  std::filesystem::path certificate;
  std::filesystem::path key;
  std::shared_ptr<EVP_PKEY> private_key;
  std::shared_ptr<X509> x509;
};

Identity make_identity(const TempFolder& folder, const std::string& name, const Identity* issuer = nullptr) {
  Identity made{folder / (name + ".pem"),
                folder / (name + ".key"),
                {EVP_EC_gen("P-256"), EVP_PKEY_free},
                {X509_new(), X509_free}};
  X509* const x509 = made.x509.get();
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), issuer == nullptr ? 1 : 2);
  X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_set_pubkey(x509, made.private_key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509, X509_get_subject_name(issuer == nullptr ? x509 : issuer->x509.get()));
  if (issuer == nullptr) {
    X509_EXTENSION* const ca =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(x509, ca, -1);
    X509_EXTENSION_free(ca);
  }
  require(X509_sign(x509, (issuer == nullptr ? made : *issuer).private_key.get(), EVP_sha256()) > 0);
  const auto write = [](const std::filesystem::path& path, const auto& how) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "w"), std::fclose);
    require(file != nullptr && how(file.get()) == 1);
  };
  write(made.certificate, [&](std::FILE* file) { return PEM_write_X509(file, x509); });
  write(made.key, [&](std::FILE* file) {
    return PEM_write_PrivateKey(file, made.private_key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return made;
}

class TlsHttp final : public RawHttp {
 public:
  struct Wish {
    const Identity* as = nullptr;
    int lowest = TLS1_2_VERSION;
    int highest = TLS1_3_VERSION;
    std::string alpn{};  // as it goes over the wire
  };
  TlsHttp(std::uint16_t port, const Identity& trusted) : TlsHttp(port, trusted, Wish{}) {}
  TlsHttp(std::uint16_t port, const Identity& trusted, const Wish& wish)
      : RawHttp(port), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes as to a file, and the server may have closed
    SSL_CTX_set_security_level(context_.get(), 0);  // to offer what is too old
    SSL_CTX_set_min_proto_version(context_.get(), wish.lowest);
    SSL_CTX_set_max_proto_version(context_.get(), wish.highest);
    SSL_CTX_load_verify_file(context_.get(), trusted.certificate.c_str());
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    if (wish.as != nullptr) {
      SSL_CTX_use_certificate_file(context_.get(), wish.as->certificate.c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context_.get(), wish.as->key.c_str(), SSL_FILETYPE_PEM);
    }
    ssl_.reset(SSL_new(context_.get()), SSL_free);
    if (!wish.alpn.empty())
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wish.alpn.data()),
                          static_cast<unsigned>(wish.alpn.size()));
    SSL_set_fd(ssl_.get(), descriptor());
    connected = SSL_connect(ssl_.get()) == 1;
  }
  TlsHttp(const TlsHttp&) = delete;
  TlsHttp& operator=(const TlsHttp&) = delete;
  ~TlsHttp() override = default;

  [[nodiscard]] std::string version() const { return SSL_get_version(ssl_.get()); }
  [[nodiscard]] std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  /// Whether the server has said that this is the end, as TLS has it.
  [[nodiscard]] bool ended_well() const {
    return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }

  bool connected = false;

 protected:
  std::size_t receive(char* bytes, std::size_t most) override {
    if (SSL_pending(ssl_.get()) == 0) wait_for_bytes();
    const int got = SSL_read(ssl_.get(), bytes, static_cast<int>(most));
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  std::size_t transmit(const char* bytes, std::size_t count) override {
    const int sent = SSL_write(ssl_.get(), bytes, static_cast<int>(count));
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }

 private:
  std::shared_ptr<SSL_CTX> context_;
  std::shared_ptr<SSL> ssl_;
};

ServerOptions with_tls(const Identity& identity) {
  ServerOptions options;
  options.tls = ServerTls{.certificate = identity.certificate, .key = identity.key};
  return options;
}

Response echo(Request& request) {
  return Response{.body = (request.secure ? "secure " : "open ") + request.target + " " + request.body};
}

}  // namespace

TEST_CASE("requests over TLS are answered as any, and said to be secure", "[http][server][tls]") {
  const TempFolder folder;
  const Identity own = make_identity(folder, "server");
  Server server(echo, with_tls(own));
  server.start();
  CHECK(server.url() == "https://127.0.0.1:" + std::to_string(server.port()));
  TlsHttp client(server.port(), own);
  REQUIRE(client.connected);
  CHECK(client.version() == "TLSv1.3");
  CHECK(client.ask(get_request("/a")).body == "secure /a ");
  const std::string large(500'000, 'x');
  CHECK(client.ask(post_request("/b", large)).body == "secure /b " + large);
  client.send(get_request("/1") + get_request("/2"));
  CHECK(client.answer().body == "secure /1 ");
  CHECK(client.answer().body == "secure /2 ");
  CHECK(client.ask(get_request("/", "Connection: close\r\n")).status == 200);
  CHECK(client.read_to_end().empty());
  CHECK(client.ended_well());
}

TEST_CASE("TLS before 1.2 is refused, and HTTP 1.1 is chosen where a client offers more",
          "[http][server][tls]") {
  const TempFolder folder;
  const Identity own = make_identity(folder, "server");
  Server server(echo, with_tls(own));
  server.start();
  CHECK_FALSE(TlsHttp(server.port(), own, {.lowest = TLS1_VERSION, .highest = TLS1_1_VERSION}).connected);
  TlsHttp old(server.port(), own, {.highest = TLS1_2_VERSION});
  REQUIRE(old.connected);
  CHECK(old.version() == "TLSv1.2");
  CHECK(old.ask(get_request("/")).status == 200);
  TlsHttp modern(server.port(), own, {.alpn = std::string("\x02h2\x08http/1.1")});
  REQUIRE(modern.connected);
  CHECK(modern.protocol() == "http/1.1");
}

TEST_CASE("with an authority for clients, only clients of its are served", "[http][server][tls]") {
  const TempFolder folder;
  const Identity own = make_identity(folder, "server");
  const Identity authority = make_identity(folder, "authority");
  const Identity friendly = make_identity(folder, "friend", &authority);
  const Identity stranger = make_identity(folder, "stranger");
  ServerOptions options = with_tls(own);
  options.tls->client_ca = authority.certificate;
  Server server(echo, options);
  server.start();
  CHECK(TlsHttp(server.port(), own, {.as = &friendly}).ask(get_request("/")).status == 200);
  for (const Identity* who : {static_cast<const Identity*>(nullptr), &stranger}) {
    TlsHttp client(server.port(), own, {.as = who});
    client.send(get_request("/"));
    CHECK(client.read_to_end().empty());
  }
  CHECK(server.counts().requests == 1);
}

TEST_CASE("a client that does not speak TLS, or does not go on, is dropped", "[http][server][tls]") {
  const TempFolder folder;
  const Identity own = make_identity(folder, "server");
  Server server(echo, with_tls(own));
  server.start();
  RawHttp plain(server.port());
  plain.send(get_request("/"));
  CHECK(plain.read_to_end().find("HTTP/") == std::string::npos);
  CHECK(TlsHttp(server.port(), own).ask(get_request("/")).status == 200);
  CHECK(server.counts().requests == 1);

  ServerOptions options = with_tls(own);
  options.timeouts.handshake = 50ms;
  Server hurried(echo, options);
  hurried.start();
  RawHttp silent(hurried.port());
  CHECK(silent.read_to_end().empty());
}

TEST_CASE("refusals, timeouts and idle connections are the same over TLS", "[http][server][tls]") {
  const TempFolder folder;
  const Identity own = make_identity(folder, "server");
  ServerOptions options = with_tls(own);
  options.timeouts.head = 400ms;
  options.timeouts.idle = 50ms;
  Server server(echo, options);
  server.start();
  TlsHttp refused(server.port(), own);
  CHECK(refused.ask("GET / HTTP/1.1\r\n\r\n").status == 400);
  CHECK(TlsHttp(server.port(), own)
            .ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n")
            .status == 413);
  TlsHttp slow(server.port(), own);
  slow.send("GET / HT");
  CHECK(slow.answer().status == 408);
  TlsHttp idle(server.port(), own);
  CHECK(idle.ask(get_request("/")).status == 200);
  CHECK(idle.read_to_end().empty());
}

TEST_CASE("events go over TLS, end well when the server stops, and stop when the client goes",
          "[http][server][tls]") {
  const TempFolder folder;
  const Identity own = make_identity(folder, "server");
  EventStream events;
  Server server([&](Request& request) { return events.subscribe(request); }, with_tls(own));
  server.start();
  {
    TlsHttp gone(server.port(), own);
    gone.send(get_request("/"));
    gone.read_until("id: ");
    CHECK(events.subscribers() == 1);
  }
  CHECK(eventually([&] { return events.subscribers() == 0; }));
  TlsHttp client(server.port(), own);
  client.send(get_request("/"));
  client.read_until("id: ");
  events.publish("tick", "1");
  CHECK(client.read_until("data: 1\n\n").find("event: tick") != std::string::npos);
  std::jthread stopping([&] { server.stop(); });
  CHECK(client.read_to_end().ends_with("0\r\n\r\n"));
  CHECK(client.ended_well());
  client.close();
  stopping.join();
  CHECK(events.subscribers() == 0);
}

TEST_CASE("files that can't be used for TLS are all named, and read anew by each start",
          "[http][server][tls]") {
  const TempFolder folder;
  const Identity own = make_identity(folder, "server");
  const Identity other = make_identity(folder, "other");
  ServerOptions options;
  options.tls = ServerTls{
      .certificate = folder / "none.pem", .key = folder / "none.key", .client_ca = folder / "none.ca"};
  try {
    Server(echo, options).start();
    FAIL("it started");
  } catch (const quern::ConfigError& error) {
    REQUIRE(error.faults().size() == 3);
    CHECK(error.faults()[0].starts_with("tls.certificate: "));
    CHECK(error.faults()[1].starts_with("tls.key: "));
    CHECK(error.faults()[2].starts_with("tls.client_ca: "));
  }
  options.tls = ServerTls{.certificate = own.certificate, .key = other.key};
  CHECK_THROWS_AS(Server(echo, options).start(), quern::ConfigError);

  Server server(echo, with_tls(own));
  server.start();
  server.stop();
  std::filesystem::copy_file(other.certificate, own.certificate,
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy_file(other.key, own.key, std::filesystem::copy_options::overwrite_existing);
  server.start();
  CHECK(TlsHttp(server.port(), other).ask(get_request("/")).status == 200);
}
