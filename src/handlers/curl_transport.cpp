#include "quern/handlers/curl_transport.hpp"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <vector>

#include "quern/handlers/detail/address.hpp"
#include "quern/handlers/detail/text.hpp"
#include "quern/handlers/detail/url.hpp"

namespace quern::inline v1 {
namespace {

constexpr std::size_t max_header_bytes = 256u << 10;
constexpr std::size_t max_idle_handles = 4;

// Closed over by libcurl's callbacks for the time of one request. No exception may pass through them, so each
// notes what went wrong here and makes libcurl give up.
struct Exchange {
  const HttpRequest& request;
  HttpResponse response;
  std::size_t header_bytes = 0;
  bool headers_done = false;
  bool too_large = false;
  bool address_refused = false;
  std::exception_ptr failure;
};

std::size_t on_body(char* data, std::size_t, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  auto& body = exchange.response.body;
  const std::size_t room = exchange.request.max_response_bytes - body.size();
  try {
    body.append(data, std::min(count, room));
  } catch (...) {
    exchange.failure = std::current_exception();
    return 0;
  }
  if (count <= room) return count;
  if (exchange.request.overflow == Overflow::cut) {
    exchange.response.truncated = true;
  } else {
    exchange.too_large = true;
  }
  return 0;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const auto begin = text.find_first_not_of(blank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

std::size_t on_header(char* data, std::size_t, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line(data, count);
  exchange.header_bytes += count;
  if (exchange.header_bytes > max_header_bytes) {
    exchange.too_large = true;
    return 0;
  }
  try {
    if (line.starts_with("HTTP/") && exchange.response.body.empty()) {
      // A further header block: the last one was a proxy's, or a 1xx.
      exchange.response.headers.clear();
      exchange.headers_done = false;
    } else if (trim(line).empty()) {
      exchange.headers_done = true;
    } else if (const auto colon = line.find(':'); !exchange.headers_done && colon != std::string_view::npos &&
                                                  line[0] != ' ' && line[0] != '\t') {
      // Lines after the end of the block are trailers; they must never pass for headers.
      exchange.response.headers.add(std::string(trim(line.substr(0, colon))),
                                    std::string(trim(line.substr(colon + 1))));
    }
  } catch (...) {
    exchange.failure = std::current_exception();
    return 0;
  }
  return count;
}

bool is_public(const curl_sockaddr& address) {
  // Copied out, since libcurl hands over bytes and not an object of the right type.
  if (address.family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.addr, sizeof v4);
    std::array<std::uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
    return detail::is_public_v4(bytes);
  }
  if (address.family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.addr, std::min<std::size_t>(sizeof v6, address.addrlen));
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return detail::is_public_v6(bytes);
  }
  return false;
}

curl_socket_t on_open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& exchange = *static_cast<Exchange*>(user);
  // One address that is not public condemns the host: no other one of it is tried after that.
  if (exchange.request.reach == Reach::public_only && (exchange.address_refused || !is_public(*address))) {
    exchange.address_refused = true;
    return CURL_SOCKET_BAD;
  }
#ifdef SOCK_CLOEXEC
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
#else
  const int fd = socket(address->family, address->socktype, address->protocol);
  if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
#endif
}

struct Failure {
  HttpFailure kind;
  bool transient;
};

Failure classify(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {HttpFailure::unresolved, true};
    case CURLE_COULDNT_CONNECT:
      return {HttpFailure::unreachable, true};
    case CURLE_OPERATION_TIMEDOUT:
      return {HttpFailure::timeout, true};
    case CURLE_SSL_CONNECT_ERROR:
      return {HttpFailure::tls, true};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
      return {HttpFailure::tls, false};
    default:
      return {HttpFailure::cut, true};
  }
}

bool token(std::string_view text) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           marks.find(c) != std::string_view::npos;
  });
}

using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

void append(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  // The longer list begins with the old one, which must not be freed.
  [[maybe_unused]] curl_slist* old = list.release();
  list.reset(longer);
}

HeaderList header_list(const HttpRequest& request) {
  HeaderList list(nullptr, &curl_slist_free_all);
  append(list, "Expect:");  // no "Expect: 100-continue", which costs a round trip
  for (const auto& [name, value] : request.headers) {
    if (!token(name)) throw InvalidArgument("headers", "a header's name is not a token");
    const bool control = std::ranges::any_of(
        value, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; });
    // The value may be a secret, so that it is not shown.
    if (control)
      throw InvalidArgument("headers." + name, "its value holds a control character or a line break");
    // To libcurl, "Name:" means leave this header out; an empty value is spelt "Name;".
    append(list, value.empty() ? name + ";" : name + ": " + value);
  }
  return list;
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  if (const CURLcode code = curl_easy_setopt(easy, option, value); code != CURLE_OK)
    throw HttpError(HttpFailure::cut, fmt::format("libcurl refuses an option: {}", curl_easy_strerror(code)),
                    false);
}

long milliseconds(Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  // Zero would mean no limit to libcurl.
  return static_cast<long>(std::clamp<std::int64_t>(ms, 1, 1'000'000'000));
}

// A connection cache (the multi handle) and the handle of a request. The multi interface is used for one
// request at a time: unlike the easy one it can be woken from another thread, which makes a stop immediate.
struct Handle {
  Handle() : multi(curl_multi_init()), easy(curl_easy_init()) {
    if (multi == nullptr || easy == nullptr) throw std::bad_alloc();
  }
  ~Handle() {
    if (easy != nullptr) curl_easy_cleanup(easy);
    if (multi != nullptr) curl_multi_cleanup(multi);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  CURLM* multi;
  CURL* easy;
};

void global_init() {
  static const CURLcode result = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (result != CURLE_OK)
    throw HttpError(HttpFailure::cut, fmt::format("libcurl does not start: {}", curl_easy_strerror(result)),
                    false);
}

// Drives the handle's one request to its end, or to the stop.
CURLcode drive(const Handle& handle, const std::stop_token& stop) {
  const auto check = [](CURLMcode code) {
    if (code != CURLM_OK)
      throw HttpError(HttpFailure::cut, fmt::format("libcurl: {}", curl_multi_strerror(code)), true);
  };
  check(curl_multi_add_handle(handle.multi, handle.easy));
  struct Remove {
    const Handle& handle;
    explicit Remove(const Handle& added) : handle(added) {}
    Remove(const Remove&) = delete;
    Remove& operator=(const Remove&) = delete;
    ~Remove() { curl_multi_remove_handle(handle.multi, handle.easy); }
  } const remove(handle);
  const std::stop_callback wake(stop, [&handle] { curl_multi_wakeup(handle.multi); });

  for (int running = 1; running != 0;) {
    check(curl_multi_perform(handle.multi, &running));
    if (running == 0) break;
    if (stop.stop_requested()) return CURLE_ABORTED_BY_CALLBACK;
    // Wakes earlier by itself for data and for libcurl's own time limits.
    check(curl_multi_poll(handle.multi, nullptr, 0, 60'000, nullptr));
  }
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(handle.multi, &left);
  return message != nullptr && message->msg == CURLMSG_DONE ? message->data.result : CURLE_RECV_ERROR;
}

}  // namespace

struct CurlTransport::Pool {
  CurlOptions options;
  std::mutex mutex;
  std::vector<std::unique_ptr<Handle>> idle;

  std::unique_ptr<Handle> take() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        auto handle = std::move(idle.back());
        idle.pop_back();
        return handle;
      }
    }
    return std::make_unique<Handle>();
  }
  void give_back(std::unique_ptr<Handle> handle) {
    const std::lock_guard lock(mutex);
    if (idle.size() < max_idle_handles) idle.push_back(std::move(handle));
  }
};

CurlTransport::CurlTransport(CurlOptions options) : pool_(std::make_unique<Pool>()) {
  global_init();
  pool_->options = std::move(options);
}

CurlTransport::~CurlTransport() = default;

HttpResponse CurlTransport::perform(const HttpRequest& request) {
  const auto url = detail::parse_url(request.url);
  // The URL is not shown: a webhook's is a secret.
  if (!url) throw InvalidArgument("url", "not an absolute http or https URL");
  if (!token(request.method)) throw InvalidArgument("method", "not a token");
  const HeaderList headers = header_list(request);
  const std::string where = request.method + " " + url->scheme + "://" + url->host;
  if (request.stop.stop_requested()) throw HttpError(HttpFailure::aborted, where + ": stopped", true);

  auto handle = pool_->take();
  CURL* const easy = handle->easy;
  curl_easy_reset(easy);
  Exchange exchange{.request = request, .response = {}, .failure = {}};
  std::array<char, CURL_ERROR_SIZE> detail_text{};

  set(easy, CURLOPT_ERRORBUFFER, detail_text.data());
  set(easy, CURLOPT_URL, url->text.c_str());
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!pool_->options.ca_file.empty()) set(easy, CURLOPT_CAINFO, pool_->options.ca_file.c_str());
  set(easy, CURLOPT_ACCEPT_ENCODING, "");
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(request.connect_timeout));
  set(easy, CURLOPT_TIMEOUT_MS, milliseconds(request.timeout));
#if LIBCURL_VERSION_NUM >= 0x075700
  // A name server that does not answer must not hold up a timeout or a stop.
  set(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
  set(easy, CURLOPT_HTTPHEADER, headers.get());
  if (request.method == "HEAD") {
    set(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET") {
    set(easy, CURLOPT_POSTFIELDS, request.body.data());
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    // On a kept connection that turns out to be dead libcurl sends once more by itself, which is not its to
    // decide for a request that changes something.
    set(easy, CURLOPT_FRESH_CONNECT, 1L);
  }
  if (!request.environment_proxy || request.reach == Reach::public_only) {
    set(easy, CURLOPT_PROXY, "");
    set(easy, CURLOPT_NOPROXY, "*");
  }
  if (request.reach == Reach::public_only) {
    // A connection that another request left behind was not checked for this one.
    set(easy, CURLOPT_FRESH_CONNECT, 1L);
    set(easy, CURLOPT_FORBID_REUSE, 1L);
  }
  set(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  set(easy, CURLOPT_OPENSOCKETDATA, &exchange);
  set(easy, CURLOPT_HEADERFUNCTION, on_header);
  set(easy, CURLOPT_HEADERDATA, &exchange);
  set(easy, CURLOPT_WRITEFUNCTION, on_body);
  set(easy, CURLOPT_WRITEDATA, &exchange);

  const CURLcode code = drive(*handle, request.stop);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  // The handle must not keep pointers to what ends with this call.
  curl_easy_reset(easy);
  pool_->give_back(std::move(handle));

  if (exchange.failure) std::rethrow_exception(exchange.failure);
  if (exchange.too_large)
    throw HttpError(HttpFailure::too_large,
                    fmt::format("{}: the answer is larger than {} bytes", where, request.max_response_bytes),
                    false);
  if (code == CURLE_OK || exchange.response.truncated) {
    exchange.response.status = static_cast<int>(status);
    return std::move(exchange.response);
  }
  if (code == CURLE_ABORTED_BY_CALLBACK) throw HttpError(HttpFailure::aborted, where + ": stopped", true);
  if (exchange.address_refused)
    throw HttpError(HttpFailure::address_refused, where + ": the host's address is not a public one", false);
  const auto [kind, transient] = classify(code);
  const std::string reason = detail_text[0] != '\0' ? detail_text.data() : curl_easy_strerror(code);
  throw HttpError(kind, fmt::format("{}: {}", where, detail::clean_line(reason)), transient);
}

}  // namespace quern::inline v1
