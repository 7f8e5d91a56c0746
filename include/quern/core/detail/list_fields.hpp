#pragma once

// The preprocessor's part of QUERN_FIELDS. Macros can't call themselves; rescanning lets each leave its
// successor's name behind to be expanded next time. 64 rescans, so that the 33rd field meets the
// static_assert that names the limit.

#define QUERN_DETAIL_PARENS ()
#define QUERN_DETAIL_RESCAN(...) \
  QUERN_DETAIL_RESCAN3(QUERN_DETAIL_RESCAN3(QUERN_DETAIL_RESCAN3(QUERN_DETAIL_RESCAN3(__VA_ARGS__))))
#define QUERN_DETAIL_RESCAN3(...) \
  QUERN_DETAIL_RESCAN2(QUERN_DETAIL_RESCAN2(QUERN_DETAIL_RESCAN2(QUERN_DETAIL_RESCAN2(__VA_ARGS__))))
#define QUERN_DETAIL_RESCAN2(...) \
  QUERN_DETAIL_RESCAN1(QUERN_DETAIL_RESCAN1(QUERN_DETAIL_RESCAN1(QUERN_DETAIL_RESCAN1(__VA_ARGS__))))
#define QUERN_DETAIL_RESCAN1(...) __VA_ARGS__

#define QUERN_DETAIL_ADD_FIELDS(...) __VA_OPT__(QUERN_DETAIL_RESCAN(QUERN_DETAIL_ADD_FIELD(__VA_ARGS__)))
#define QUERN_DETAIL_ADD_FIELD(member, ...)                          \
  quern_list.template add<decltype(QuernType::member)>(              \
      "\"" #member "\":", [](void* quern_object) noexcept -> void* { \
        return &static_cast<QuernType*>(quern_object)->member;       \
      });                                                            \
  __VA_OPT__(QUERN_DETAIL_NEXT_FIELD QUERN_DETAIL_PARENS(__VA_ARGS__))
#define QUERN_DETAIL_NEXT_FIELD() QUERN_DETAIL_ADD_FIELD
