using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Analytics.Actors.Core.Windows;

/// <summary>
/// Puts JSON together from values that are JSON already. The caller keeps brackets in balance; commas are set here.
/// </summary>
internal sealed class JsonBuilder
{
    private readonly ArrayBufferWriter<byte> buffer;
    private bool needsComma;

    public JsonBuilder(int capacity = 256) => buffer = new ArrayBufferWriter<byte>(capacity);

    /// <summary>A member name as it is written, with its quotes.</summary>
    public static byte[] Quote(string text) =>
        [(byte)'"', .. JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).EncodedUtf8Bytes, (byte)'"'];

    public JsonBuilder StartList() => Open((byte)'[');
    public JsonBuilder StartObject() => Open((byte)'{');
    public JsonBuilder EndList() => Close((byte)']');
    public JsonBuilder EndObject() => Close((byte)'}');

    /// <param name="quotedName">See <see cref="Quote"/>.</param>
    public JsonBuilder Name(ReadOnlySpan<byte> quotedName)
    {
        Separate();
        buffer.Write(quotedName);
        buffer.Write(":"u8);
        needsComma = false;
        return this;
    }

    public JsonBuilder Value(ReadOnlySpan<byte> json)
    {
        Separate();
        buffer.Write(json);
        needsComma = true;
        return this;
    }

    public JsonBuilder Number(double value)
    {
        Separate();
        var span = buffer.GetSpan(32);
        buffer.Advance(Records.JsonText.FormatNumber(value, span));
        needsComma = true;
        return this;
    }

    public JsonBuilder Number(int value)
    {
        Separate();
        var span = buffer.GetSpan(16);
        value.TryFormat(span, out var written, default, System.Globalization.CultureInfo.InvariantCulture);
        buffer.Advance(written);
        needsComma = true;
        return this;
    }

    public byte[] ToArray() => buffer.WrittenSpan.ToArray();

    private JsonBuilder Open(byte bracket)
    {
        Separate();
        buffer.Write([bracket]);
        needsComma = false;
        return this;
    }

    private JsonBuilder Close(byte bracket)
    {
        buffer.Write([bracket]);
        needsComma = true;
        return this;
    }

    private void Separate()
    {
        if (needsComma) buffer.Write(","u8);
        needsComma = false;
    }
}
