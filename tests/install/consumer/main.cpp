// An application that has the installed library and nothing of its source tree.
#include <poundlock/client.h>
#include <poundlock/router.h>

#include <cstdio>
#include <string>

int main() {
  auto client = poundlock::Client::offline(R"({"flags": {
      "colour": {"state": "ENABLED", "variants": {"r": "red", "b": "blue"}, "defaultVariant": "r",
                 "targeting": {"if": [{"==": [{"var": "context"}, "internal"]}, "b"]}},
      "k.stage": {"state": "ENABLED", "variants": {"live": "live"}, "defaultVariant": "live"}}})");
  const poundlock::Context internal{"customer-1", {{"context", std::string("internal")}}};
  poundlock::Hook hook;
  hook.finally = [](const poundlock::HookContext& seen, const poundlock::Details& details,
                    const poundlock::FlagValue&) {
    std::printf("hook %.*s %s\n", static_cast<int>(seen.flag_key.size()), seen.flag_key.data(),
                details.reason.c_str());
  };
  client.add_hook(hook);
  const auto events = client.on_event(
      [](const poundlock::Event& event) { std::printf("event %s\n", poundlock::to_string(event.type)); });
  std::printf("colour %s\n", client.string_value("colour", "none", internal).c_str());
  poundlock::Router router(client, "k");
  auto unit = router.begin(internal);
  const auto read = unit.read(
      "path", [](poundlock::Attempt&) { return poundlock::Outcome<int>(1); },
      [](poundlock::Attempt&) { return poundlock::Outcome<int>(2); });
  std::printf("read %d\n", *read);
  client.close();
  return read.ok() ? 0 : 1;
}
