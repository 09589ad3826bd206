#include "schema/large_stack.h"

#include <pthread.h>

#include <cstring>

namespace poundlock::schema {

Status run_with_large_stack(const std::function<void()>& work) {
  const auto refuse = [](int code) {
    return fail(make_error(Disposition::kRetry, "schema.no_thread",
                           std::string("no thread for the SQL parser: ") + std::strerror(code))
                    .with_hint("raise the limits on processes and address space (ulimit -u, ulimit -v)"));
  };
  pthread_attr_t attributes;
  if (const int code = pthread_attr_init(&attributes); code != 0) return refuse(code);
  int code = pthread_attr_setstacksize(&attributes, kLargeStackBytes);
  pthread_t thread{};
  if (code == 0) {
    code = pthread_create(
        &thread, &attributes,
        [](void* argument) -> void* {
          (*static_cast<const std::function<void()>*>(argument))();
          return nullptr;
        },
        const_cast<void*>(static_cast<const void*>(&work)));
  }
  pthread_attr_destroy(&attributes);
  if (code != 0) return refuse(code);
  pthread_join(thread, nullptr);
  return {};
}

}  // namespace poundlock::schema
