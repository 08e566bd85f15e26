using System.Globalization;
using Analytics.Actors.Core.Pipeline;

namespace Analytics.Actors.Core.Records;

/// <summary>Which dead letters can go through the normal path again. What cannot stays for people to read, or to discard.</summary>
public static class DeadLetterReplay
{
    /// <summary>Null where the letter can be replayed; else why not, and what to do instead.</summary>
    public static string? WhyNot(DeadLetter letter, PipelineConfiguration pipeline)
    {
        if (letter.Form == RejectedForm.Internal || letter.Reason.Code == "bad-replay") return $"a letter \"{letter.Reason.Code}\" holds no source record: {Purpose(letter.Reason.Code)}";
        if (letter.Form == RejectedForm.Element)
            return "it holds one element of a list whose other elements were applied; replayed alone it would take their place. Have the source send the list again";
        if (letter.Reason.Code == "too-large") return "it stands for all items of a station, of which it holds the first. Have the source send them in several records, or raise maxRecordBytes";
        if (letter.IsCut)
            return string.Create(CultureInfo.InvariantCulture, $"only {letter.Bytes.Length} of its {letter.Length} bytes are kept. Have the source send the record again ({letter.Source} offset {letter.Offset})");
        if (!pipeline.Topics.TryGetValue(letter.Source.Topic, out var topic))
            return $"the pipeline does not declare its topic {letter.Source.Topic}. Declare it first";
        if (letter.Form == RejectedForm.Item && topic.Mode == UpdateMode.Replace)
            return $"each record of {topic.Name} replaces the station's window; this one item would replace all of it. Have the source send the record again";
        return null;
    }

    private static string Purpose(string code) => code switch
    {
        "late-answer" => "it is a module's result that came after its batch was over; its bytes are that result",
        "call-failed" => "it tells that a module call failed; the module's next trigger calls again",
        "upload-too-large" => "it is an upload that no topic takes; make the batch or its results smaller (maxRecordBytes)",
        "bad-envelope" or "bad-replay" => "it is a record of an internal topic that this system did not write, or not this store",
        _ => "it is for people to read",
    };
}
