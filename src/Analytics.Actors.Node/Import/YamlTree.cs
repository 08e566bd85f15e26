using System.Globalization;
using System.Text.Json.Nodes;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Analytics.Actors.Node.Import;

/// <summary>A YAML file as the same tree that a Python one gives.</summary>
internal static class YamlTree
{
    /// <summary>Throws <see cref="FormatException"/> with line and reason where it is not one mapping.</summary>
    public static JsonObject Read(string source)
    {
        try
        {
            var stream = new YamlStream();
            stream.Load(new StringReader(source));
            if (stream.Documents.Count == 1 && Node(stream.Documents[0].RootNode) is JsonObject root) return root;
        }
        catch (YamlException wrong)
        {
            throw new FormatException($"line {wrong.Start.Line}: {wrong.Message}");
        }

        throw new FormatException("it is not one YAML mapping");
    }

    private static JsonNode? Node(YamlNode node) => node switch
    {
        YamlMappingNode mapping => new JsonObject(mapping.Children.Select(child => KeyValuePair.Create(((child.Key as YamlScalarNode)?.Value) ?? child.Key.ToString(), Node(child.Value)))),
        YamlSequenceNode sequence => new JsonArray([.. sequence.Children.Select(Node)]),
        YamlScalarNode { Style: ScalarStyle.Plain } scalar => Plain(scalar.Value ?? ""),
        YamlScalarNode scalar => JsonValue.Create(scalar.Value),
        _ => null,
    };

    private static JsonValue? Plain(string text) => text.ToLowerInvariant() switch
    {
        "" or "~" or "null" => null,
        "true" or "yes" or "on" => JsonValue.Create(true),
        "false" or "no" or "off" => JsonValue.Create(false),
        _ when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) => JsonValue.Create(whole),
        _ when decimal.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) => JsonValue.Create(number),
        _ => JsonValue.Create(text),
    };
}
