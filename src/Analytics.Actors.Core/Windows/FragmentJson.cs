using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Analytics.Actors.Core.Windows;

/// <summary>Fragments as one JSON object, for what must outlive the window (superseded inputs); see <see cref="JsonFragment.Parse"/>.</summary>
public static class FragmentJson
{
    private static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <summary>Writes the fragment's members, in their order, as one JSON object.</summary>
    public static void WriteJson(this InputFragment fragment, IBufferWriter<byte> destination)
    {
        using var writer = new Utf8JsonWriter(destination, WriterOptions);
        writer.WriteStartObject();
        foreach (var name in fragment.Names)
        {
            writer.WritePropertyName(name);
            writer.WriteRawValue(fragment.GetJson(name).Span, skipInputValidation: true);
        }

        writer.WriteEndObject();
    }

    /// <summary>The fragment as one JSON object in UTF-8.</summary>
    public static byte[] ToJsonObject(this InputFragment fragment)
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        fragment.WriteJson(buffer);
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>All members as one object under one name; the fragment itself where there is no name.</summary>
    internal static InputFragment Under(this InputFragment fragment, string? member) =>
        member is null ? fragment : new JsonFragment([member], [fragment.ToJsonObject()]);
}
