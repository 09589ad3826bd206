// The OpenFeature SDK of Java with the provider that is asked for; README.md has the protocol.

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.openfeature.contrib.providers.flagd.Config;
import dev.openfeature.contrib.providers.flagd.FlagdOptions;
import dev.openfeature.contrib.providers.flagd.FlagdProvider;
import dev.openfeature.contrib.providers.ofrep.OfrepProvider;
import dev.openfeature.contrib.providers.ofrep.OfrepProviderOptions;
import dev.openfeature.sdk.Client;
import dev.openfeature.sdk.EvaluationContext;
import dev.openfeature.sdk.FeatureProvider;
import dev.openfeature.sdk.FlagEvaluationDetails;
import dev.openfeature.sdk.ImmutableContext;
import dev.openfeature.sdk.OpenFeatureAPI;
import dev.openfeature.sdk.Structure;
import dev.openfeature.sdk.Value;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

final class ClientProgram {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static FeatureProvider provider(String mode, String host, String port) {
        if (mode.equals("ofrep")) {
            return OfrepProvider.constructProvider(
                    OfrepProviderOptions.builder().baseUrl("http://" + host + ":" + port).build());
        }
        return new FlagdProvider(FlagdOptions.builder()
                .resolverType(mode.equals("rpc") ? Config.Resolver.RPC : Config.Resolver.IN_PROCESS)
                .host(host)
                .port(Integer.parseInt(port))
                .deadline(5000)
                .build());
    }

    private static Map<String, Object> object(Object value) {
        final Map<String, Object> out = new HashMap<>();
        ((Map<?, ?>) value).forEach((key, member) -> out.put((String) key, member));
        return out;
    }

    private static EvaluationContext context(Object value) {
        final Map<String, Object> attributes = object(value);
        final Object targetingKey = attributes.remove("targetingKey");
        final Map<String, Value> members = Structure.mapToStructure(attributes).asMap();
        return targetingKey == null
                ? new ImmutableContext(members)
                : new ImmutableContext((String) targetingKey, members);
    }

    private static Object plain(Object value) {
        if (!(value instanceof Value)) return value;
        final Value wrapped = (Value) value;
        return wrapped.isStructure() ? wrapped.asStructure().asObjectMap() : wrapped.asObject();
    }

    private static FlagEvaluationDetails<?> evaluate(Client client, Map<?, ?> request) {
        final String key = (String) request.get("key");
        final Object fallback = request.get("default");
        final EvaluationContext context = context(request.get("context"));
        switch ((String) request.get("type")) {
            case "boolean": return client.getBooleanDetails(key, (Boolean) fallback, context);
            case "string": return client.getStringDetails(key, (String) fallback, context);
            case "number": return client.getDoubleDetails(key, ((Number) fallback).doubleValue(), context);
            case "integer": return client.getIntegerDetails(key, ((Number) fallback).intValue(), context);
            default:
                return client.getObjectDetails(key, new Value(Structure.mapToStructure(object(fallback))), context);
        }
    }

    private static String answer(Client client, Map<?, ?> request) throws Exception {
        final FlagEvaluationDetails<?> details = evaluate(client, request);
        final Map<String, Object> out = new HashMap<>();
        out.put("value", plain(details.getValue()));
        out.put("variant", details.getVariant() == null ? "" : details.getVariant());
        out.put("reason", details.getReason() == null ? "" : details.getReason());
        out.put("error", details.getErrorCode() == null ? "" : details.getErrorCode().name());
        return JSON.writeValueAsString(out);
    }

    private static String answerAll(Client client, Map<?, ?> request) throws Exception {
        int done = 0;
        try (var requests = Files.newBufferedReader(Path.of((String) request.get("requests")));
                var results = Files.newBufferedWriter(Path.of((String) request.get("results")))) {
            for (String line = requests.readLine(); line != null; line = requests.readLine()) {
                results.write(answer(client, JSON.readValue(line, Map.class)) + "\n");
                ++done;
            }
        }
        return JSON.writeValueAsString(Map.of("done", done));
    }

    public static void main(String[] args) throws Exception {
        final OpenFeatureAPI api = OpenFeatureAPI.getInstance();
        api.setProviderAndWait(provider(args[0], args[1], args[2]));
        final Client client = api.getClient();
        final var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        final var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        out.println("ready");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            final Map<?, ?> request = JSON.readValue(line, Map.class);
            out.println(request.containsKey("requests") ? answerAll(client, request) : answer(client, request));
        }
        System.exit(0);  // the providers' threads would keep it
    }
}
