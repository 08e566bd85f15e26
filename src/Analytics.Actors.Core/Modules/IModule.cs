namespace Analytics.Actors.Core.Modules;

/// <summary>
/// An analysis module. Called with one station's input, never twice at once for one station, side by side for different
/// ones; outside the shard's thread, so it may take its time and do I/O. The system gathers and uploads what it returns.
/// </summary>
public interface IModule
{
    /// <summary>The name under which the pipeline declares it.</summary>
    string Name { get; }

    /// <summary>
    /// Computes one result. Throwing is an error: it is retried as configured, and the last one is the answer.
    /// </summary>
    /// <param name="input">What the station's windows held when the call was triggered; nothing in it can be changed.</param>
    /// <param name="cancellation">Set when the call's time is up or the node stops.</param>
    ValueTask<ModuleResult> CallAsync(ModuleInput input, CancellationToken cancellation);
}

/// <summary>A module that computes without waiting for anything.</summary>
public abstract class SynchronousModule : IModule
{
    public abstract string Name { get; }

    public abstract ModuleResult Call(ModuleInput input, CancellationToken cancellation);

    ValueTask<ModuleResult> IModule.CallAsync(ModuleInput input, CancellationToken cancellation) =>
        ValueTask.FromResult(Call(input, cancellation));
}

/// <summary>What a module returned: a JSON object, or nothing.</summary>
public readonly struct ModuleResult
{
    private ModuleResult(ReadOnlyMemory<byte> json) => Json = json;

    /// <summary>No result for this station this time.</summary>
    public static ModuleResult Nothing => default;

    public bool IsNothing => Json.IsEmpty;

    /// <summary>The object as UTF-8 JSON; empty for nothing.</summary>
    public ReadOnlyMemory<byte> Json { get; }

    /// <summary>A result already written as one JSON object in UTF-8. The host refuses anything else, see <see cref="Problem"/>.</summary>
    public static ModuleResult FromJson(ReadOnlyMemory<byte> json) => new(json);

    /// <summary>
    /// What makes bytes no result; null for one JSON object in UTF-8 whose texts can be decoded. A host asks before it hands
    /// a result to a shard: what cannot be written into an upload must become an error of its own station.
    /// </summary>
    public static string? Problem(ReadOnlySpan<byte> json)
    {
        if (!System.Text.Unicode.Utf8.IsValid(json)) return "the module returned something that is not UTF-8";
        var reader = new System.Text.Json.Utf8JsonReader(json);
        try
        {
            if (!reader.Read() || reader.TokenType != System.Text.Json.JsonTokenType.StartObject) return "the module returned something that is not a JSON object";
            while (reader.Read())
            {
                if (reader.ValueIsEscaped && Records.JsonText.HasLoneSurrogate(reader.ValueSpan)) return "the module returned a text with half a surrogate pair";
            }

            return null;
        }
        catch (System.Text.Json.JsonException failure)
        {
            return $"the module returned something that is not a JSON object: {failure.Message}";
        }
    }

    /// <summary>A result written by <paramref name="write"/>, which is called between the object's braces.</summary>
    public static ModuleResult Write(Action<System.Text.Json.Utf8JsonWriter> write)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>(512);
        using (var writer = new System.Text.Json.Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        return new ModuleResult(buffer.WrittenMemory);
    }
}
