using System.Runtime.CompilerServices;
using System.Text;
using Analytics.Actors.Core.Records;

namespace Analytics.Actors.Core.Stations;

/// <summary>
/// A station's id as its bytes in UTF-8, in the place where they are compared: no other memory is touched for it. Ids longer
/// than most are compared with their text.
/// </summary>
internal readonly struct StationKey
{
    // Digits of any platform, and a UUID with its hyphens.
    private const int BytesMax = 36;

    private readonly Letters letters;
    private readonly byte length;

    public StationKey(string id)
    {
        if (Encoding.UTF8.GetByteCount(id) > BytesMax) return;
        length = (byte)Encoding.UTF8.GetBytes(id, letters);
    }

    /// <summary>Whether these bytes are the id.</summary>
    /// <param name="text">The same id as text.</param>
    public bool Is(ReadOnlySpan<byte> id, string text) =>
        length > 0 ? id.SequenceEqual(((ReadOnlySpan<byte>)letters)[..length]) : Utf8Names.Comparer.Equals(id, text);

    [InlineArray(BytesMax)]
    private struct Letters
    {
        private byte first;
    }
}
