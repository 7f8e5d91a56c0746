#include "schedule/cron_items.hpp"

#include <fmt/format.h>

#include <string>

#include "schedule/cron_hash.hpp"

namespace quern::inline v1::detail {
namespace {

/// Reads the items that all fields have, and keeps their values.
class ItemReader {
 public:
  ItemReader(const CronFieldKind& kind, CronFieldText field, std::string_view name)
      : in(kind, field), kind_(kind), name_(name) {}

  /// A list with a function that reads one item.
  template <class ReadItem>
  void list(const ReadItem& read_item) {
    do read_item();
    while (in.take(','));
    if (!in.done()) in.fail("a comma or the end of the field");
  }

  /// `*`, `H` or what begins with a value. `more(value)` may go on after a value that stands alone, and says whether it did.
  template <class More>
  void item(const More& more) {
    if (in.take('*')) {
      set.star = true;
      add(kind_.least, last(), step());
    } else if (hash_begins()) {
      hashed();
    } else {
      const std::size_t begin = in.position();
      const int first = in.value();
      if (more(first)) return;
      range(begin, first);
    }
  }
  void item() {
    item([](int) { return false; });
  }

  CronReader in;
  CronSet set;

 private:
  /// The last value that a step reaches: 7 is Sunday's other name, not an eighth day.
  [[nodiscard]] int last() const noexcept { return kind_.least + kind_.steps - 1; }

  void add(int first, int most, int step) {
    for (int value = first; value <= most; value += step) {
      // 7 is Sunday's other name.
      const auto bit = static_cast<unsigned>((value - kind_.least) % kind_.steps);
      set.bits[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
  }

  int step() {
    if (!in.take('/')) return 1;
    return in.number(1, kind_.steps, "a step");
  }

  void range(std::size_t begin, int first) {
    if (in.take('-')) {
      const bool by_name = !in.next_is_digit();
      int most = in.value();
      // Sunday ends a week as well as it begins one: FRI-SUN.
      if (by_name && kind_.steps == 7 && most == 0 && first > 0) most = 7;
      if (most < first)
        in.fail_since(begin, fmt::format("the range ends before it begins, which is not allowed; write {}",
                                         split(first, most)));
      add(first, most, step());
    } else if (in.next_is('/')) {
      add(first, first > last() ? first : last(), step());
    } else {
      add(first, first, 1);
    }
  }

  /// The two ranges that somebody may have meant.
  [[nodiscard]] std::string split(int first, int most) const {
    if (kind_.steps == 7 && most == 0) return fmt::format("{}-7", first);
    const auto part = [](int from, int to) {
      return from == to ? std::to_string(from) : fmt::format("{}-{}", from, to);
    };
    return part(first, last()) + "," + part(kind_.least, most);
  }

  [[nodiscard]] bool hash_begins() const noexcept { return in.next_is('H'); }

  void hashed() {
    const std::size_t begin = in.position();
    in.take('H');
    if (name_.empty())
      in.fail_since(begin, "found \"H\", which is drawn from the schedule's name, and there is no name");
    int least = kind_.least;
    // Every month has 28 days.
    int most = kind_.number == 3 ? 28 : last();
    const bool limited = in.take('(');
    if (limited) {
      const std::size_t inner = in.position();
      least = in.value();
      in.expect('-');
      most = in.value();
      if (most < least) in.fail_since(inner, "the range ends before it begins, which is not allowed");
      in.expect(')');
    }
    const auto size = static_cast<std::uint64_t>(most - least + 1);
    const std::uint64_t drawn = cron_hash(name_, kind_.number);
    if (in.next_is('/')) {
      const int every = step();
      const std::uint64_t phases =
          static_cast<std::uint64_t>(every) < size ? static_cast<std::uint64_t>(every) : size;
      if (!limited) set.star = true;
      add(least + static_cast<int>(drawn % phases), most, every);
    } else {
      const int value = least + static_cast<int>(drawn % size);
      add(value, value, 1);
    }
  }

  const CronFieldKind& kind_;
  std::string_view name_;
};

}  // namespace

CronSet read_set(const CronFieldKind& kind, CronFieldText field, std::string_view name) {
  ItemReader reader(kind, field, name);
  reader.list([&] { reader.item(); });
  reader.set.any = field.text == "*";
  return reader.set;
}

void read_day_of_month(CronFieldText field, std::string_view name, CronFields& fields) {
  fields.any_day = field.text == "*" || field.text == "?";
  if (field.text == "?") field.text = "*";
  ItemReader reader(cron_field_kinds[3], field, name);
  CronReader& in = reader.in;
  reader.list([&] {
    if (!in.take('L')) {
      reader.item([&](int day) {
        if (!in.take('W')) return false;
        fields.near_weekdays |= std::uint32_t{1} << day;
        return true;
      });
    } else if (in.take('W')) {
      fields.last_workday = true;
    } else if (in.take('-')) {
      fields.days_from_end |= std::uint32_t{1} << in.number(0, 30, "a number of days");
    } else {
      fields.days_from_end |= 1;
    }
  });
  // Bit 0 stands for the 1st there.
  fields.days = static_cast<std::uint32_t>(reader.set.bits[0]) << 1;
}

void read_day_of_week(CronFieldText field, std::string_view name, CronFields& fields) {
  if (field.text.starts_with('+')) {
    fields.both_days = true;
    field.text.remove_prefix(1);
    ++field.at;
  }
  fields.any_weekday = field.text == "*" || field.text == "?";
  if (field.text == "?") field.text = "*";
  ItemReader reader(cron_field_kinds[5], field, name);
  CronReader& in = reader.in;
  reader.list([&] {
    reader.item([&](int value) {
      const auto weekday = static_cast<std::uint8_t>(1U << (value % 7));
      const bool numbered = in.take('#');
      if (in.take('L')) {
        fields.last_weekdays |= weekday;
      } else if (numbered) {
        fields.nth_weekdays[static_cast<std::size_t>(in.number(1, 5, "a number or L") - 1)] |= weekday;
      } else {
        return false;
      }
      return true;
    });
  });
  fields.weekdays = static_cast<std::uint8_t>(reader.set.bits[0]);
}

}  // namespace quern::inline v1::detail
