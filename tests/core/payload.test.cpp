#include "quern/core/payload.hpp"

#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using quern::InvalidArgument;
using quern::Payload;

namespace {

struct Sample {
  std::string repository;
  int user_id = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Sample, repository, user_id)

struct Fields {
  std::string repository;
  int user_id = 0;
};
QUERN_FIELDS(Fields, repository, user_id)

/// The same text as Fields, and another codec.
struct OtherFields {
  std::string repository;
  long user_id = 0;
};
QUERN_FIELDS(OtherFields, repository, user_id)

}  // namespace

TEST_CASE("a payload keeps its text byte for byte", "[payload]") {
  CHECK(Payload().text() == "null");
  const std::string text = R"({"b": 1.0,  "a": 2})";
  CHECK(Payload::json(text).text() == text);
  CHECK(Payload::json("1") == Payload::json("1"));
  CHECK_FALSE(Payload::json("1") == Payload::json("1.0"));
}

TEST_CASE("values and structs go into a payload and come back", "[payload]") {
  CHECK(Payload::of(42).as<int>() == 42);
  CHECK(Payload::of(std::vector{1, 2, 3}).text() == "[1,2,3]");
  const auto sample = Payload::of(Sample{"a/b", 7}).as<Sample>();
  CHECK(sample.repository == "a/b");
  CHECK(sample.user_id == 7);
}

TEST_CASE("what cannot be encoded or decoded is refused without its contents", "[payload]") {
  CHECK_THROWS_AS(Payload::of(std::string("\xFF")), InvalidArgument);
  for (const char* wrong :
       {"{}", "[1]", "\"secret\"", "{\"repository\": 5, \"user_id\": \"secret\"}", "not json secret"}) {
    try {
      static_cast<void>(Payload::json(wrong).as<Sample>());
      FAIL("was accepted");
    } catch (const InvalidArgument& e) {
      CHECK(e.field() == "payload");
    }
  }
}

TEST_CASE("a struct with fields is read by whoever knows its text", "[payload]") {
  const Payload packed = Payload::of(Fields{"a/b", 7});
  const std::string text = R"({"repository":"a/b","user_id":7})";
  CHECK(packed.codec() != nullptr);
  CHECK(packed.as<Fields>().user_id == 7);
  CHECK(packed.as<OtherFields>().user_id == 7);
  CHECK(packed.as<Sample>().user_id == 7);
  CHECK(packed.text() == text);
  CHECK(Payload::json(text).as<Fields>().repository == "a/b");
  CHECK(Payload::of(Sample{"a/b", 7}).as<Fields>().repository == "a/b");
}

TEST_CASE("payloads are equal when their texts are", "[payload]") {
  const Payload packed = Payload::of(Fields{"a/b", 7});
  CHECK(packed == Payload::of(Fields{"a/b", 7}));
  CHECK(packed == Payload::of(OtherFields{"a/b", 7}));
  CHECK(packed == Payload::json(packed.text()));
  CHECK(Payload::json(packed.text()) == packed);
  CHECK_FALSE(packed == Payload::of(Fields{"a/b", 8}));
  CHECK_FALSE(packed == Payload::json(R"({"repository": "a/b", "user_id": 7})"));
}

TEST_CASE("a payload is copied, moved and assigned with its value, and a moved-from one may be used again",
          "[payload]") {
  for (const bool with_text : {false, true}) {
    Payload first = Payload::of(Fields{"a/b", 7});
    if (with_text) CHECK_FALSE(first.text().empty());
    Payload copy = first;
    CHECK(copy == first);
    Payload moved = std::move(first);
    CHECK(moved == copy);
    first = Payload::json("1");
    CHECK(first.text() == "1");
    first = copy;
    CHECK(first == moved);
    const Payload& itself = first;
    first = itself;
    CHECK(first.as<Fields>().user_id == 7);
    first = Payload::of(Fields{"other", 8});
    CHECK(first.text() == R"({"repository":"other","user_id":8})");
    CHECK(std::move(first).text() == R"({"repository":"other","user_id":8})");
    CHECK(std::move(copy).text() == R"({"repository":"a/b","user_id":7})");
  }
}

TEST_CASE("a payload is kept as bytes with their codec, and made of them again", "[payload]") {
  for (const Payload& given : {Payload(), Payload::json("[1]"), Payload::of(Fields{"a/b", 7})}) {
    const Payload again = Payload::from_bytes(given.bytes(), given.codec());
    CHECK(again == given);
    CHECK(again.codec() == given.codec());
    CHECK(again.text() == given.text());
  }
}

TEST_CASE("many threads may ask one payload for its text at once, and all get the same", "[payload]") {
  for (int round = 0; round < 50; ++round) {
    const Payload payload = Payload::of(Fields{"a/b", round});
    std::atomic<int> ready{0};
    std::vector<const std::string*> texts(4);
    std::vector<std::thread> threads;
    for (auto& text : texts) {
      threads.emplace_back([&] {
        ++ready;
        while (ready < 4) std::this_thread::yield();
        text = &payload.text();
      });
    }
    for (auto& thread : threads) thread.join();
    for (const auto* text : texts) CHECK(text == &payload.text());
    CHECK(payload.text() == R"({"repository":"a/b","user_id":)" + std::to_string(round) + "}");
  }
}
