using System.Text.Json;

namespace Analytics.Actors.Node.Modules;

/// <summary>How the built-in modules write numbers: six decimals, and null for what is unknown.</summary>
internal static class ResultWriting
{
    public static void WriteNumber(Utf8JsonWriter writer, string name, double? value)
    {
        if (value is { } number && double.IsFinite(number)) writer.WriteNumber(name, Math.Round(number, 6));
        else writer.WriteNull(name);
    }
}
