#include "quern/core/fields.hpp"

#include <cmath>
#include <limits>

#include "core/fields_types.hpp"
#include "support/catch.hpp"

using namespace fields_test;
using quern::InvalidArgument;
using quern::Payload;

namespace {

struct Tree {
  int value = 0;
  std::vector<Tree> children;
  friend bool operator==(const Tree&, const Tree&) = default;
};
QUERN_FIELDS(Tree, value, children)

Tree chain(int length) {
  Tree tree;
  for (int i = 1; i < length; ++i) {
    Tree above;
    above.children.push_back(std::move(tree));
    tree = std::move(above);
  }
  return tree;
}

struct Nothing {
  friend bool operator==(const Nothing&, const Nothing&) = default;
};
QUERN_FIELDS(Nothing)

struct Base {
  int id = 0;
};
struct Derived : Base {
  std::string text;
};
QUERN_FIELDS(Derived, id, text)
struct Further : Derived {};

template <class T>
struct Edges {
  T least = std::numeric_limits<T>::lowest();
  T most = std::numeric_limits<T>::max();
  friend bool operator==(const Edges&, const Edges&) = default;
};
#define EDGES(Name, Integer)                                    \
  struct Name : Edges<Integer> {                                \
    friend bool operator==(const Name&, const Name&) = default; \
  };                                                            \
  QUERN_FIELDS(Name, least, most)
EDGES(Int8, std::int8_t)
EDGES(Int16, std::int16_t)
EDGES(Int32, std::int32_t)
EDGES(Int64, std::int64_t)
EDGES(Uint8, std::uint8_t)
EDGES(Uint16, std::uint16_t)
EDGES(Uint32, std::uint32_t)
EDGES(Uint64, std::uint64_t)
EDGES(LongLong, long long)
EDGES(Float, float)
EDGES(Double, double)
#undef EDGES

struct Wide {
  int a0{}, a1{}, a2{}, a3{}, a4{}, a5{}, a6{}, a7{}, a8{}, a9{}, b0{}, b1{}, b2{}, b3{}, b4{}, b5{}, b6{},
      b7{}, b8{}, b9{}, c0{}, c1{}, c2{}, c3{}, c4{}, c5{}, c6{}, c7{}, c8{}, c9{}, d0{}, d1{};
};
QUERN_FIELDS(Wide, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, c0, c1, c2,
             c3, c4, c5, c6, c7, c8, c9, d0, d1)

template <class T>
void comes_back() {
  const T value;
  CHECK(repacked(value) == value);
  CHECK(rewritten(value) == value);
}

/// The field that an InvalidArgument names.
template <class T>
std::string refused_field(const T& value) {
  try {
    static_cast<void>(Payload::of(value));
  } catch (const InvalidArgument& e) {
    CHECK(std::string(e.what()).find("secret") == std::string::npos);
    return e.field();
  }
  return "";
}

}  // namespace

static_assert(quern::HasFields<Tree> && quern::HasFields<const Nothing>);
static_assert(!quern::HasFields<int> && !quern::HasFields<Base> && !quern::HasFields<std::vector<Tree>>);
static_assert(!quern::HasFields<Further>, "a derived struct's own members would be lost");

TEST_CASE("a struct with fields of every kind comes back, packed and as JSON", "[fields]") {
  CHECK(repacked(digest()) == digest());
  CHECK(rewritten(digest()) == digest());
  CHECK(repacked(Digest{}) == Digest{});
  CHECK(rewritten(Digest{}) == Digest{});
}

TEST_CASE("the JSON of a struct is compact and in declared order", "[fields]") {
  CHECK(Payload::of(digest()).text() ==
        "{\"repository\":\"octo/é \\\"quoted\\\"\\n\\u0001\x7F\",\"user_id\":-9223372036854775808,"
        R"("recipients":[{"address":"ada@example.org","name":"Ada","share":0.1},)"
        R"({"address":"","name":null,"share":-1e+300}],"labels":{"":[],"bug":[1,-2,3],"ü":[0]},"period":-5,)"
        R"("owner":{"address":"x","name":null,"share":1.0},"wait":-1500,"since":1769817600000000,)"
        R"("flags":[true,false,true],"color":[0,128,255],"ratio":0.10000000149011612,"urgent":true})");
}

TEST_CASE("numbers come back at the ends of their range", "[fields]") {
  comes_back<Int8>();
  comes_back<Int16>();
  comes_back<Int32>();
  comes_back<Int64>();
  comes_back<Uint8>();
  comes_back<Uint16>();
  comes_back<Uint32>();
  comes_back<Uint64>();
  comes_back<LongLong>();
  comes_back<Float>();
  comes_back<Double>();
}

TEST_CASE("a struct may have no fields, 32, those of its base, or contain itself", "[fields]") {
  CHECK(Payload::of(Nothing{}).text() == "{}");
  comes_back<Nothing>();

  Wide wide;
  wide.d1 = 32;
  CHECK(repacked(wide).d1 == 32);
  CHECK(rewritten(wide).d1 == 32);
  CHECK(nlohmann::json::parse(Payload::of(wide).text()).size() == 32);

  Derived derived;
  derived.id = 7;
  derived.text = "x";
  CHECK(Payload::of(derived).text() == R"({"id":7,"text":"x"})");
  CHECK(rewritten(derived).id == 7);

  const Tree tree{1, {{2, {}}, {3, {{4, {}}}}}};
  CHECK(repacked(tree) == tree);
  CHECK(rewritten(tree) == tree);
}

TEST_CASE("long strings and lists come back", "[fields]") {
  for (const std::size_t size : {254U, 255U, 256U, 1000U, 1030U, 5000U, 100'000U}) {
    Digest value;
    value.repository = std::string(size, 'x') + "\"";
    value.labels["many"] = std::vector<int>(size, 7);
    value.flags = std::vector<bool>(size, true);
    CHECK(repacked(value) == value);
    CHECK(rewritten(value) == value);
  }
}

TEST_CASE("a value read over another one leaves nothing of it", "[fields]") {
  // What a list's new elements begin with is a default-made one.
  CHECK(Payload::json(R"({"recipients":[{"address":"a"}]})").as<Digest>().recipients.at(0).share == 0.5);
  CHECK(Payload::json(R"({"owner":null})").as<Digest>().owner == std::nullopt);
}

TEST_CASE("a string or number that JSON can't hold is refused by its path, when it is enqueued", "[fields]") {
  const auto refused = [](auto change) {
    Digest value = digest();
    change(value);
    return refused_field(value);
  };
  CHECK(refused([](Digest& d) { d.repository = "secret\xFF"; }) == "payload.repository");
  CHECK(refused([](Digest& d) { d.repository = std::string("secret\0", 7); }) == "payload.repository");
  CHECK(refused([](Digest& d) { d.recipients[1].address = "secret\xC0\x80"; }) ==
        "payload.recipients[1].address");
  CHECK(refused([](Digest& d) { d.owner->name = "secret \xED\xA0\x80"; }) == "payload.owner.name");
  CHECK(refused([](Digest& d) { d.labels["secret\xFF"]; }) == "payload.labels[2]");
  CHECK(refused([](Digest& d) { d.recipients[0].share = std::nan(""); }) == "payload.recipients[0].share");
  CHECK(refused([](Digest& d) { d.ratio = -std::numeric_limits<float>::infinity(); }) == "payload.ratio");
  CHECK(refused([](Digest& d) { d.owner->share = std::numeric_limits<double>::infinity(); }) ==
        "payload.owner.share");
}

TEST_CASE("fields are nested up to 64 deep", "[fields]") {
  const Tree deepest = chain(32);  // a struct and a list each
  CHECK(repacked(deepest) == deepest);
  CHECK(rewritten(deepest) == deepest);
  CHECK(refused_field(chain(33)) == "payload");
  CHECK(refused_field(chain(5000)) == "payload");
}

TEST_CASE("a packed form that is cut off or changed is refused or read as something else, never past its end",
          "[fields]") {
  const Payload packed = Payload::of(digest());
  const std::string bytes(packed.bytes());
  int refused = 0;
  for (std::size_t size = 5; size < bytes.size(); ++size) {
    // A copy of the size, so that a sanitizer sees the end.
    const std::string cut(bytes, 0, size);
    CHECK_THROWS_AS(Payload::from_bytes(cut, packed.codec()).as<Digest>(), InvalidArgument);
    CHECK_THROWS_AS(Payload::from_bytes(cut, packed.codec()).text(), InvalidArgument);
  }
  for (std::size_t at = 5; at < bytes.size(); ++at) {
    for (const char put : {'\0', '\1', '\x7F', '\xFE', '\xFF'}) {
      std::string changed = bytes;
      changed[at] = put;
      try {
        static_cast<void>(Payload::from_bytes(changed, packed.codec()).as<Digest>());
      } catch (const InvalidArgument&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 0);
  CHECK_THROWS_AS(Payload::from_bytes(bytes + '\0', packed.codec()).as<Digest>(), InvalidArgument);
}
