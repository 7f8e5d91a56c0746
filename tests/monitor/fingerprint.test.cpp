// Which errors are alike.
#include "quern/monitor/fingerprint.hpp"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "quern/core/limits.hpp"
#include "quern/core/random.hpp"
#include "support/catch.hpp"

using quern::failure_fingerprint;
using quern::normalized_error;

TEST_CASE("what differs from one failure to the next is taken out of its error", "[fingerprint]") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", ""},
      {"connection refused", "connection refused"},
      {"attempt 3 of worker-17 after 2.5 s", "attempt <n> of worker-<n> after <n> s"},
      {"user17 has 1,234,567 jobs, 3 too many.", "user<n> has <n> jobs, <n> too many."},
      {"HTTP 503", "HTTP <n>"},
      {"no job 6f1c9a2be04d", "no job <id>"},
      {"commit 640d82b91c0ffee0640d82b91c0ffee012345678 is gone", "commit <id> is gone"},
      {"job 01ARZ3NDEKTSV4RRFFQ69G5FAV", "job <id>"},
      {"123e4567-E89B-12d3-a456-426614174000 exists", "<id> exists"},
      {"defaced facade", "defaced facade"},
      {"at 0x7ffd5e8a (+0x1F)", "at <address> (+<address>)"},
      {"10.0.0.7:5432 refused", "<host> refused"},
      {"from 192.168.1.255.", "from <host>."},
      {"PostgreSQL 15.18.1", "PostgreSQL <n>"},
      {"to [2001:db8::8a2e:370:7334]:443", "to [<host>]:<n>"},
      {"fe80:0:0:0:0:0:0:1 and ::1", "<host> and <host>"},
      {"at 12:30:45", "at <n>:<n>:<n>"},
      {"std::bad_alloc in quern::v1::add::face", "std::bad_alloc in quern::v<n>::add::face"},
      {"2026-11-29T08:30:00.250Z is over", "<n>-<n>-<n>T<n>:<n>:<n>Z is over"},
      {"mail to ada.l+jobs@mail.example.org.", "mail to <mail>."},
      {"@example is no address", "@example is no address"},
      {"  two\t words \r\n and a line ", "two words and a line"},
      {"größer als 5 ≥ 3", "größer als <n> ≥ <n>"},
      {"timeout: job_42 / queue-7", "timeout: job_<n> / queue-<n>"},
  };
  for (const auto& [error, normal] : cases) CHECK(normalized_error(error) == normal);
}

TEST_CASE("a normalized error is as good as one that was normalized before", "[fingerprint]") {
  quern::Random random(11);
  const std::string_view alphabet = "0123456789abcdefABCDEFxyz .,:;-_@%+/\\'\"()[]\n\t";
  for (int i = 0; i < 2'000; ++i) {
    std::string text;
    for (std::uint64_t size = random.below(80); text.size() < size;)
      text += random.below(20) == 0 ? "ü" : std::string(1, alphabet[random.below(alphabet.size())]);
    const std::string once = normalized_error(text);
    INFO(text);
    CHECK(quern::is_utf8(once));
    CHECK(normalized_error(once) == once);
  }
}

TEST_CASE("a long error is cut between characters", "[fingerprint]") {
  for (std::size_t most = 0; most < 12; ++most) {
    const std::string cut = normalized_error("aäöü€ and so on, for ever", most);
    INFO(most << ": " << cut);
    CHECK(cut.size() <= most + 3);
    CHECK(cut.size() + 3 >= most);
    CHECK(quern::is_utf8(cut));
    CHECK(cut.ends_with("..."));
  }
  CHECK(normalized_error("short", 5) == "short");
  CHECK(normalized_error(std::string(1'000'000, 'x')).size() == 503);
  std::string blank(1'000'000, ' ');
  blank.push_back('x');
  CHECK(normalized_error(blank) == "x");
}

TEST_CASE("any bytes have a normalized error and a fingerprint", "[fingerprint]") {
  quern::Random random(5);
  for (int i = 0; i < 1'000; ++i) {
    std::string bytes;
    for (std::uint64_t size = random.below(600); bytes.size() < size;)
      bytes += static_cast<char>(random.below(256));
    CHECK(normalized_error(bytes).size() <= 503);
    CHECK(failure_fingerprint("kind", bytes) != 0);
  }
}

TEST_CASE("failures of one kind for one reason have one fingerprint, and no others have it",
          "[fingerprint]") {
  const auto of = [](const char* kind, const char* error) { return failure_fingerprint(kind, error); };
  CHECK(of("mail", "10.0.0.1:25 refused after 3 s") == of("mail", "10.0.0.2:25 refused after 10 s"));
  const std::set<std::uint64_t> all{
      of("mail", "refused"),   of("mail", "refuse"), of("mai", "lrefused"),
      of("digest", "refused"), of("mail", ""),       of("", "mail"),
  };
  CHECK(all.size() == 6);
  // They are stored, so they must not change.
  CHECK(of("mail", "job 17 failed") == of("mail", "job 18 failed"));
  CHECK(failure_fingerprint("", "") == 0xAF63BD4C8601B7DFU);
}
